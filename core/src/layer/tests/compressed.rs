//! Layers as they lie in a store.

use std::io::{self, Read as _, Write as _};

use super::{
    super::{DecompressionBomb, GzipWriter, LayerReader, Limits, open_layer},
    sample, write,
};
use crate::{
    digest::{DiffId, Digest},
    image::{LayerDescriptor, MediaType},
    store::{BlobError, BlobStore as _, MemoryBlobs, put_bytes},
    tree::EntrySource as _,
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzipWriter::new(Vec::new()).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[test]
fn gzip_says_nothing_about_time_place_or_effort_and_does_not_depend_on_the_writes() {
    let bytes: Vec<u8> = (0..400_000_u32)
        .flat_map(|n| (n / 7).to_le_bytes())
        .collect();
    let whole = gzip(&bytes);
    assert_eq!(whole[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut writer = GzipWriter::new(Vec::new()).unwrap();
    for (index, piece) in bytes.chunks(977).enumerate() {
        writer.write_all(piece).unwrap();
        if index % 5 == 0 {
            writer.flush().unwrap();
        }
    }
    assert!(writer.finish().unwrap() == whole);
    let mut back = Vec::new();
    flate2::bufread::GzDecoder::new(&whole[..])
        .read_to_end(&mut back)
        .unwrap();
    assert!(back == bytes);
    assert_eq!(gzip(b"").len(), 20);
}

/// The encoder is the pinned one, whatever features other crates of the build turn on: they
/// choose what flate2 compresses with, and nothing here compresses with flate2. A second copy of
/// `miniz_oxide` may be there; ours must be the pinned one.
#[test]
fn the_encoder_is_pinned() {
    let lock = include_str!("../../../../Cargo.lock");
    let package = "name = \"miniz_oxide\"\nversion = \"0.9.1\"";
    assert!(lock.contains(package));
    let manifest = include_str!("../../../../Cargo.toml");
    assert!(manifest.contains(r#"gzip-v1 = { package = "miniz_oxide", version = "=0.9.1""#));
}

fn stored(store: &MemoryBlobs, blob: &[u8], tar: &[u8], media_type: MediaType) -> LayerDescriptor {
    let kept = put_bytes(store, blob).unwrap();
    LayerDescriptor {
        media_type,
        digest: kept.digest,
        size: kept.size,
        diff_id: DiffId(Digest::of(tar)),
    }
}

fn count(store: &MemoryBlobs, layer: &LayerDescriptor) -> io::Result<usize> {
    let mut reader = open_layer(store, layer, Limits::default()).unwrap();
    let mut entries = 0;
    while reader.next_entry(&mut |_, _| {
        entries += 1;
        Ok(())
    })? {}
    Ok(entries)
}

/// A zstd frame that stores `bytes` uncompressed (RFC 8878, 3.1.1).
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
    let mut blocks = bytes.chunks(100_000).peekable();
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        let header = u32::try_from(block.len()).unwrap() << 3 | last;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(block);
    }
    frame
}

#[test]
fn layers_open_in_every_compression_and_in_pieces() {
    let store = MemoryBlobs::new();
    let tar = write(&sample()).unwrap();
    let (first, second) = tar.split_at(1000);
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    for (blob, media_type) in [
        (tar.clone(), MediaType::OciLayer),
        (gzip(&tar), MediaType::DockerLayerGzip),
        (
            [gzip(first), gzip(second)].concat(),
            MediaType::OciLayerGzip,
        ),
        (zstd(&tar), MediaType::OciLayerZstd),
        (
            [zstd(first), skippable, zstd(second)].concat(),
            MediaType::OciLayerZstd,
        ),
    ] {
        let layer = stored(&store, &blob, &tar, media_type.clone());
        assert_eq!(count(&store, &layer).unwrap(), 13, "{media_type}");
    }
    let other = stored(&store, &tar, &tar, MediaType::OciConfig);
    assert!(open_layer(&store, &other, Limits::default()).is_err());
}

/// `umoci insert` writes no end, and a digest tells that nothing is missing.
#[test]
fn a_layer_may_lack_the_end_of_its_tar_and_nothing_else() {
    let store = MemoryBlobs::new();
    let whole = write(&sample()).unwrap();
    let tar = &whole[..whole.len() - 1024];
    let layer = stored(&store, &gzip(tar), tar, MediaType::OciLayerGzip);
    assert_eq!(count(&store, &layer).unwrap(), 13);
    let other = stored(&store, &gzip(tar), &whole, MediaType::OciLayerGzip);
    assert!(count(&store, &other).is_err());
    for cut in [tar.len() - 1, tar.len() - 300] {
        let layer = stored(&store, &tar[..cut], &tar[..cut], MediaType::OciLayer);
        assert!(count(&store, &layer).is_err());
    }
    // As a stream of its own it would be one that was cut off.
    let mut reader = LayerReader::new(tar, Limits::default());
    assert!(loop {
        match reader.next_entry(&mut |_, _| Ok(())) {
            Ok(true) => {}
            ended => break ended.is_err(),
        }
    });
}

#[test]
fn nothing_may_follow_a_compressed_layer_and_both_digests_hold() {
    let store = MemoryBlobs::new();
    let tar = write(&sample()).unwrap();
    for (blob, media_type) in [
        (
            [gzip(&tar), b"garbage".to_vec()].concat(),
            MediaType::OciLayerGzip,
        ),
        (
            [zstd(&tar), b"garbage".to_vec()].concat(),
            MediaType::OciLayerZstd,
        ),
        (gzip(&tar)[..200].to_vec(), MediaType::OciLayerGzip),
        (zstd(&tar)[..2000].to_vec(), MediaType::OciLayerZstd),
    ] {
        let layer = stored(&store, &blob, &tar, media_type.clone());
        assert!(count(&store, &layer).is_err(), "{media_type}");
    }
    let layer = stored(&store, &gzip(&tar), b"another tar", MediaType::OciLayerGzip);
    let error = count(&store, &layer)
        .unwrap_err()
        .downcast::<BlobError>()
        .unwrap();
    assert!(matches!(error, BlobError::Corrupt { .. }));
}

/// Damage in a byte that does not reach the tar (the time in the gzip header) is found too.
#[test]
fn the_blob_is_verified_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = crate::store::LocalBlobs::open(dir.path()).unwrap();
    let tar = write(&sample()).unwrap();
    let blob = put_bytes(&store, &gzip(&tar)).unwrap();
    let path = store.path(blob.digest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let layer = LayerDescriptor {
        media_type: MediaType::OciLayerGzip,
        digest: blob.digest,
        size: blob.size,
        diff_id: DiffId(Digest::of(&tar)),
    };
    let mut reader = open_layer(&store, &layer, Limits::default()).unwrap();
    let mut result = Ok(true);
    while matches!(result, Ok(true)) {
        result = reader.next_entry(&mut |_, _| Ok(()));
    }
    assert!(result.unwrap_err().to_string().contains("damaged"));
}

#[test]
fn a_bomb_is_stopped_by_its_ratio() {
    let store = MemoryBlobs::new();
    // zstd can repeat one byte for 128 KiB in a block of four bytes: 32 000 times its size.
    let blocks = 1000_u32;
    let mut blob = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for block in 0..blocks {
        let header = 131_072_u32 << 3 | 1 << 1 | u32::from(block + 1 == blocks);
        blob.extend_from_slice(&header.to_le_bytes()[..3]);
        blob.push(0);
    }
    let layer = stored(&store, &blob, b"", MediaType::OciLayerZstd);
    let error = count(&store, &layer).unwrap_err();
    assert!(error.downcast::<DecompressionBomb>().is_ok());
    assert!(store.size(layer.digest).unwrap().is_some());
}
