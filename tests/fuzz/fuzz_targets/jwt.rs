#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| presign_gateway_fuzz::judge("jwt", data));
