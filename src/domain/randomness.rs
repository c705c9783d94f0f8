//! Randomness: the only source of random bytes, so that tests can repeat them.

use std::sync::{Arc, Mutex, PoisonError};

use rand::distr::{Alphanumeric, SampleString};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Generates random bytes that are suitable for secrets.
#[derive(Debug, Clone)]
pub enum Randomness {
    /// The thread's generator (`ChaCha12`, seeded and reseeded by the operating system).
    System,
    /// A repeatable sequence; for tests.
    Seeded(Arc<Mutex<StdRng>>),
}

impl Randomness {
    /// A sequence that depends only on the seed; for tests.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match self {
            Self::System => rand::rng().fill_bytes(&mut bytes),
            Self::Seeded(generator) => {
                generator.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
            }
        }
        bytes
    }

    /// This many random characters of `A-Z a-z 0-9`, uniformly distributed.
    #[must_use]
    pub fn alphanumeric(&self, length: usize) -> String {
        match self {
            Self::System => Alphanumeric.sample_string(&mut rand::rng(), length),
            Self::Seeded(generator) => {
                Alphanumeric.sample_string(&mut *generator.lock().unwrap_or_else(PoisonError::into_inner), length)
            }
        }
    }
}
