//! The build context: the files that `COPY` may read.

pub mod ignore;
