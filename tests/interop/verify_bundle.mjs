// Verifies a Sigstore bundle with @sigstore/bundle and @sigstore/verify.
//
// usage: verify_bundle.mjs BUNDLE PUBLIC_KEY
//
// Exits 0 if the bundle is well formed and signed by the key, 1 if not.

import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { bundleFromJSON } from '@sigstore/bundle';
import { Verifier, toSignedEntity } from '@sigstore/verify';

const [bundlePath, keyPath] = process.argv.slice(2);
const publicKey = createPublicKey(readFileSync(keyPath));

// One key, valid always, whatever the hint says: the caller's choice is what counts.
const trust = {
  certificateAuthorities: [],
  timestampAuthorities: [],
  tlogs: [],
  ctlogs: [],
  publicKey: () => ({ publicKey, validFor: () => true }),
};
const thresholds = { tlogThreshold: 0, timestampThreshold: 0, ctlogThreshold: 0 };

try {
  const bundle = bundleFromJSON(JSON.parse(readFileSync(bundlePath, 'utf8')));
  new Verifier(trust, thresholds).verify(toSignedEntity(bundle));
  console.log('accepted');
} catch (error) {
  console.log(`refused: ${error.name}: ${error.message}`);
  process.exitCode = 1;
}
