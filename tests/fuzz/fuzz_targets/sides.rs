//! Two layers of any bytes as images: comparing them ends in differences or an error, in either order and
//! both layer by layer and put together; an image is equal to itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use repro_core::{
    digest::{DiffId, Digest},
    image::{ImageConfig, LayerDescriptor, MediaType, write_image},
    layer::Limits,
    store::{MemoryBlobs, put_bytes},
};
use repro_fuzz::with_headers;
use repro_verifier::{
    causes::Facts,
    compare::{Options, View, compare_images},
};

fuzz_target!(|bytes: &[u8]| {
    let blobs = MemoryBlobs::new();
    let layer = |bytes: &[u8]| {
        let mut tar = with_headers(bytes);
        tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
        let blob = put_bytes(&blobs, &tar).expect("memory");
        LayerDescriptor {
            media_type: MediaType::OciLayer,
            digest: blob.digest,
            size: blob.size,
            diff_id: DiffId(Digest::of(&tar)),
        }
    };
    let (first, rest) = bytes.split_at(bytes.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let image = |layers: &[&[u8]]| {
        let layers: Vec<_> = layers.iter().map(|bytes| layer(bytes)).collect();
        let config = ImageConfig::for_platform(&"linux/amd64".parse().expect("a constant"));
        let image = write_image(&blobs, &config, &layers).expect("memory");
        image.descriptor.digest
    };
    let (a, b) = (image(&[first, second]), image(&[first, third]));
    let mut options = Options::new(std::env::temp_dir());
    options.limits = Limits {
        max_entries: 1000,
        max_extended_header: 1 << 16,
        max_xattr_bytes: 1 << 12,
        max_content: 1 << 20,
        max_ratio: 1100,
    };
    let compare = |a, b, view| compare_images(&blobs, a, b, view, &Facts::default(), &options);
    for view in [View::Layers, View::FileSystem] {
        let (one, other) = (compare(a, b, view), compare(b, a, view));
        assert_eq!(one.is_ok(), other.is_ok());
        if let (Ok(one), Ok(other)) = (one, other) {
            assert_eq!(one.ratio, other.ratio);
            assert_eq!(one.image_is_equal(), a == b);
        }
        if let Ok(same) = compare(a, a, view) {
            assert!(same.image_is_equal());
        }
    }
});
