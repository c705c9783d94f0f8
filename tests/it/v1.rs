//! What apps do beside `/oss/presign`.

mod export;
mod find;
mod find_model;
