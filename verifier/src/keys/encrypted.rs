//! A private key behind a passphrase: PKCS#8 `EncryptedPrivateKeyInfo` with PBES2 (RFC 8018).

use std::io;

use pkcs8::{
    EncryptedPrivateKeyInfoRef, LineEnding, PrivateKeyInfoRef,
    der::SecretDocument,
    pkcs5::{self, pbes2},
};
use zeroize::Zeroizing;

use super::{KeyError, SigningKey, pem};

/// Rounds of PBKDF2 with HMAC-SHA-256: what OWASP asks for since 2023, a good half second of one
/// processor. Rejected: scrypt, which OpenSSL reads with small parameters only.
const ROUNDS: u32 = 600_000;

impl SigningKey {
    /// Parses a key file: one PEM block `ENCRYPTED PRIVATE KEY`.
    pub fn from_encrypted_pem(text: &str, passphrase: &[u8]) -> Result<Self, KeyError> {
        let der = pem::decode(text, pem::ENCRYPTED)?;
        let encoding = |error: pkcs8::der::Error| KeyError::Encoding(error.into());
        let info: EncryptedPrivateKeyInfoRef<'_> = der.decode_msg().map_err(encoding)?;
        let plain = info.decrypt(passphrase).map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(
                pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs5::Error::AlgorithmParametersInvalid { .. },
            ) => KeyError::Encoding(error),
            // What another passphrase gives is noise: bad padding mostly, bad DER else.
            _ => KeyError::Passphrase,
        })?;
        let info: PrivateKeyInfoRef<'_> = plain.decode_msg().map_err(|_| KeyError::Passphrase)?;
        Self::of_info(info)
    }

    /// The key file. `fill` is a cryptographic source of randomness, as for
    /// [`SigningKey::generate`].
    pub fn to_encrypted_pem(
        &self,
        passphrase: &[u8],
        fill: &mut dyn FnMut(&mut [u8]) -> io::Result<()>,
    ) -> Result<Zeroizing<String>, KeyError> {
        if passphrase.is_empty() {
            return Err(KeyError::EmptyPassphrase);
        }
        let (mut salt, mut iv) = ([0_u8; 16], [0_u8; 16]);
        fill(&mut salt).map_err(KeyError::Entropy)?;
        fill(&mut iv).map_err(KeyError::Entropy)?;
        let failed = |error: pkcs5::Error| KeyError::Encoding(error.into());
        let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ROUNDS, &salt, iv)
            .map_err(failed)?;
        let plain = self.to_pem()?;
        let plain = pem::decode(&plain, pem::PRIVATE)?;
        let info: PrivateKeyInfoRef<'_> = plain
            .decode_msg()
            .map_err(|error: pkcs8::der::Error| KeyError::Encoding(error.into()))?;
        let der: SecretDocument = info
            .encrypt_with_params(parameters, passphrase)
            .map_err(KeyError::Encoding)?;
        der.to_pem(pem::ENCRYPTED, LineEnding::LF)
            .map_err(|error| KeyError::Encoding(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keys::KeyKind, testing::key};

    #[test]
    fn a_passphrase_opens_its_key_and_no_other_does() {
        let mut fill = |bytes: &mut [u8]| {
            bytes.fill(3);
            Ok(())
        };
        for kind in [KeyKind::P256, KeyKind::Ed25519] {
            let key = key(kind, 1);
            let pem = key.to_encrypted_pem(b"correct horse", &mut fill).unwrap();
            assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
            let again = SigningKey::from_encrypted_pem(&pem, b"correct horse").unwrap();
            assert_eq!(again.public_key(), key.public_key());
            let wrong = SigningKey::from_encrypted_pem(&pem, b"correct hors").unwrap_err();
            assert!(matches!(wrong, KeyError::Passphrase), "{wrong}");
            assert!(matches!(
                SigningKey::from_pem(&pem),
                Err(KeyError::Encrypted)
            ));
            let empty = key.to_encrypted_pem(b"", &mut fill);
            assert!(matches!(empty, Err(KeyError::EmptyPassphrase)));
        }
        let plain = key(KeyKind::P256, 1).to_pem().unwrap();
        let error = SigningKey::from_encrypted_pem(&plain, b"x").unwrap_err();
        assert!(matches!(error, KeyError::Label { .. }));
    }
}
