//! Writes numbers of a fixed width, for example in dates. `format!` takes longer than everything
//! around it.

/// Appends the last `width` decimal digits of a number, with leading zeros.
pub fn push(text: &mut String, number: u32, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        text.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_of_fixed_width_is_what_format_makes_of_it(number in 0_u32..10_000) {
            let mut text = String::new();
            super::push(&mut text, number, 4);
            super::push(&mut text, number % 100, 2);
            prop_assert_eq!(text, format!("{number:04}{:02}", number % 100));
        }
    }
}
