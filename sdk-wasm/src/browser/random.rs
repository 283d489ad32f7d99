//! The browser's cryptographic source, asked once per page load.

/// 32 random bytes.
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    let crypto = web_sys::window().and_then(|window| window.crypto().ok());
    let filled = crypto.is_some_and(|c| c.get_random_values_with_u8_array(&mut seed).is_ok());
    if !filled {
        // No browser of the last ten years is without it. Event ids have to differ all the same.
        for byte in &mut seed {
            *byte = (js_sys::Math::random() * 256.0) as u8;
        }
    }
    seed
}
