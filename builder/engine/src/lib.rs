//! Docker and Podman.
