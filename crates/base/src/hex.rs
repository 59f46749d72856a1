//! Bytes as pairs of hexadecimal digits.

/// Bytes as lower-case hex.
pub fn encode(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// The bytes of lower-case hex, if it is that, and of this length.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != 2 * N || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        assert_eq!(encode(&[0, 9, 0xa0, 0xff]), "0009a0ff");
        assert_eq!(decode("0009a0ff"), Some([0, 9, 0xa0, 0xff]));
        for text in ["", "0", "0009A0FF", "0009a0f", "0009a0fg", "0009a0ff0", "+009a0ff"] {
            assert_eq!(decode::<4>(text), None, "{text}");
        }
    }
}
