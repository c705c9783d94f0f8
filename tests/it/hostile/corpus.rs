//! The fuzz targets over their corpus, and over a bounded number of mutations of it: the same each time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::targets;

const MUTATIONS_OF_A_FILE: u64 = 20;
/// What is over that is left out, so that a slow machine is not held up.
const MAX_TIME: Duration = Duration::from_secs(1);

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// A repeatable sequence (xorshift64).
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, limit: usize) -> usize {
        for shift in [13, -7, 17] {
            self.0 ^= if shift > 0 { self.0 << shift } else { self.0 >> -shift };
        }
        usize::try_from(self.0 % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

/// What is put in the place of something: ends of ranges, and what separates one thing from the next.
const PIECES: [&[u8]; 22] = [
    b"",
    b"\0",
    b"\n",
    b"\r\n",
    b"%",
    b"%00",
    b"%ff",
    b"&",
    b"=",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b".",
    b"..",
    b"/",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"\xff\xfe",
    "\u{2028}".as_bytes(),
    b"S3cretM4rk",
];

fn mutated(bytes: &[u8], other: &[u8], sequence: &mut Sequence) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=sequence.below(3) {
        let at = sequence.below(bytes.len() + 1);
        let end = (at + sequence.below(4)).min(bytes.len());
        match sequence.below(4) {
            0 => drop(bytes.splice(at..end, PIECES[sequence.below(PIECES.len())].iter().copied())),
            1 if at < bytes.len() => bytes[at] ^= 1 << sequence.below(8),
            2 => bytes.truncate(at),
            _ => {
                let from = sequence.below(other.len());
                let to = (from + sequence.below(32)).min(other.len());
                bytes.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    bytes
}

fn judge(target: &str, what: &str, bytes: &[u8]) {
    let judged = catch_unwind(AssertUnwindSafe(|| targets::judge(target, bytes)));
    assert!(judged.is_ok(), "{target}, {what}: {:?}", String::from_utf8_lossy(bytes));
}

#[test]
fn every_target_holds_over_its_corpus_and_over_mutations_of_it() {
    for (target, _) in targets::TARGETS {
        let corpus = corpus(target);
        assert!(corpus.len() >= 5, "{target} has a corpus");
        for (path, bytes) in &corpus {
            judge(target, &path.display().to_string(), bytes);
        }
        let begun = Instant::now();
        let mut sequence = Sequence(0x9e37_79b9_7f4a_7c15);
        for round in 0..MUTATIONS_OF_A_FILE {
            for (path, bytes) in &corpus {
                if begun.elapsed() > MAX_TIME {
                    break;
                }
                let other = &corpus[sequence.below(corpus.len())].1;
                let mutated = mutated(bytes, other, &mut sequence);
                judge(target, &format!("{} mutated, round {round}", path.display()), &mutated);
            }
        }
    }
}
