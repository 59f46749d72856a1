//! The lengths of lists and maps. The decoder takes memory for as many values as they add up to, so they are added up first,
//! from the same runs of numbers that it will read.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use super::chunks::invalid;

/// How runs of numbers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    V1,
    V2,
}

/// The most values that lists in so many consecutive rows have together; in all rows without a number.
///
/// # Errors
/// What are no runs of numbers, and lengths that no list has.
pub(super) fn most_values(content: impl BufRead, runs: Runs, rows: Option<usize>) -> io::Result<u64> {
    let mut input = Input(content);
    let mut sums = Sums { rows, last: VecDeque::new(), sum: 0, most: 0 };
    while let Some(header) = input.next()? {
        match runs {
            Runs::V1 => input.run_v1(header, &mut sums)?,
            Runs::V2 => input.run_v2(header, &mut sums)?,
        }
    }
    Ok(sums.most)
}

/// Sums of consecutive lengths.
struct Sums {
    rows: Option<usize>,
    /// Lengths of the last rows.
    last: VecDeque<u64>,
    sum: u64,
    most: u64,
}

impl Sums {
    fn add(&mut self, length: u64) -> io::Result<()> {
        if length > i32::MAX as u64 {
            return Err(invalid(format!("a list of {length} values")));
        }
        if let Some(rows) = self.rows {
            if self.last.len() == rows {
                self.sum -= self.last.pop_front().unwrap_or_default();
            }
            self.last.push_back(length);
        }
        self.sum = self.sum.checked_add(length).ok_or_else(|| invalid("lists of too many values"))?;
        self.most = self.most.max(self.sum);
        Ok(())
    }
}

/// What is left of a stream.
struct Input<R>(R);

fn cut() -> io::Error {
    invalid("a run of numbers is cut off")
}

fn outside() -> io::Error {
    invalid("a run of numbers outside of 64 bits")
}

impl<R: BufRead> Input<R> {
    fn next(&mut self) -> io::Result<Option<u8>> {
        let next = self.0.fill_buf()?.first().copied();
        self.0.consume(usize::from(next.is_some()));
        Ok(next)
    }

    fn byte(&mut self) -> io::Result<u8> {
        self.next()?.ok_or_else(cut)
    }

    /// A number of so many bytes, the highest first.
    fn bytes(&mut self, count: usize) -> io::Result<u64> {
        (0..count).try_fold(0, |number, _| Ok(number << 8 | u64::from(self.byte()?)))
    }

    /// A number of seven bits a byte, the lowest first.
    fn varint(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                return Err(outside());
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(outside())
    }

    /// Numbers of so many bits each, the highest first, up to the end of a byte.
    fn packed(&mut self, count: usize, bits: usize) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::with_capacity(count);
        let (mut held, mut held_bits) = (0_u128, 0);
        for _ in 0..count {
            while held_bits < bits {
                held = held << 8 | u128::from(self.byte()?);
                held_bits += 8;
            }
            held_bits -= bits;
            numbers.push((held >> held_bits) as u64);
            held &= (1 << held_bits) - 1;
        }
        Ok(numbers)
    }

    fn run_v1(&mut self, header: u8, sums: &mut Sums) -> io::Result<()> {
        if header >= 0x80 {
            return (header..=u8::MAX).try_for_each(|_| sums.add(self.varint()?));
        }
        let step = i64::from(self.byte()?.cast_signed());
        let mut length = self.varint()?;
        sums.add(length)?;
        for _ in 1..usize::from(header) + 3 {
            length = length.checked_add_signed(step).ok_or_else(outside)?;
            sums.add(length)?;
        }
        Ok(())
    }

    fn run_v2(&mut self, header: u8, sums: &mut Sums) -> io::Result<()> {
        match header >> 6 {
            0 => {
                let length = self.bytes(usize::from(header >> 3 & 7) + 1)?;
                (0..usize::from(header & 7) + 3).try_for_each(|_| sums.add(length))
            }
            1 => {
                let count = self.count(header)?;
                self.packed(count, width(header >> 1))?.into_iter().try_for_each(|length| sums.add(length))
            }
            2 => self.patched(header, sums),
            _ => self.stepped(header, sums),
        }
    }

    /// How many numbers a run has: nine bits, the first of them the last of the header.
    fn count(&mut self, header: u8) -> io::Result<usize> {
        Ok((usize::from(header & 1) << 8 | usize::from(self.byte()?)) + 1)
    }

    /// Small numbers above a base, a few of them with further bits that stand behind all.
    fn patched(&mut self, header: u8, sums: &mut Sums) -> io::Result<()> {
        let (bits, count) = (width(header >> 1), self.count(header)?);
        let (third, fourth) = (self.byte()?, self.byte()?);
        let (patch_bits, gap_bits) = (width(third), usize::from(fourth >> 5) + 1);
        if patch_bits + gap_bits > 64 {
            return Err(outside());
        }
        let base_bytes = usize::from(third >> 5) + 1;
        let base = self.bytes(base_bytes)?;
        if base >> (base_bytes * 8 - 1) != 0 {
            return Err(invalid("a list of less than no values"));
        }
        let mut numbers = self.packed(count, bits)?;
        let patches = self.packed(usize::from(fourth & 0x1F), closest_width(patch_bits + gap_bits))?;
        let mut at = 0;
        for patch in patches {
            let (gap, patch) = (patch >> patch_bits, patch & ((1 << patch_bits) - 1));
            at += gap as usize;
            // A gap too wide for its bits is several without a patch.
            if patch != 0 {
                let patch = u64::try_from(u128::from(patch) << bits).map_err(|_| outside())?;
                *numbers.get_mut(at).ok_or_else(|| invalid("a patch behind its run"))? |= patch;
            }
        }
        numbers.into_iter().try_for_each(|number| sums.add(base.checked_add(number).ok_or_else(outside)?))
    }

    /// Numbers that only grow, or only shrink, as their differences.
    fn stepped(&mut self, header: u8, sums: &mut Sums) -> io::Result<()> {
        let (code, count) = (header >> 1 & 0x1F, self.count(header)?);
        let mut length = self.varint()?;
        let first = self.varint()?;
        let (grows, first) = (first & 1 == 0, (first >> 1) + (first & 1));
        let steps = match (code, count.checked_sub(2)) {
            (0, _) => vec![first; count - 1],
            (_, Some(rest)) => [vec![first], self.packed(rest, width(code))?].concat(),
            (_, None) => return Err(cut()),
        };
        sums.add(length)?;
        for step in steps {
            length = if grows { length.checked_add(step) } else { length.checked_sub(step) }.ok_or_else(outside)?;
            sums.add(length)?;
        }
        Ok(())
    }
}

/// The bits that the last five of a code stand for.
fn width(code: u8) -> usize {
    match usize::from(code & 0x1F) {
        code @ ..24 => code + 1,
        code @ 24..28 => 26 + (code - 24) * 2,
        code => 40 + (code - 28) * 8,
    }
}

/// The least bits that have a code.
fn closest_width(bits: usize) -> usize {
    (0..32).map(width).find(|width| *width >= bits).unwrap_or(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the format's specification.
    #[test]
    fn runs_are_added_up() {
        let sum = |content: &[u8], runs| most_values(content, runs, None).unwrap();
        assert_eq!(sum(&[0x61, 0x00, 0x07], Runs::V1), 700);
        assert_eq!(sum(&[0x61, 0xFF, 0x64], Runs::V1), 5050);
        assert_eq!(sum(&[0xFB, 0x02, 0x03, 0x06, 0x07, 0x0B], Runs::V1), 29);
        assert_eq!(sum(&[0x0A, 0x27, 0x10], Runs::V2), 50_000);
        let direct = [0x5E, 0x03, 0x5C, 0xA1, 0xAB, 0x1E, 0xDE, 0xAD, 0xBE, 0xEF];
        assert_eq!(sum(&direct, Runs::V2), 23713 + 43806 + 57005 + 48879);
        let patched = [
            0x8E, 0x13, 0x2B, 0x21, 0x07, 0xD0, 0x1E, 0x00, 0x14, 0x70, 0x28, 0x32, 0x3C, 0x46, 0x50, 0x5A, 0x64, 0x6E,
            0x78, 0x82, 0x8C, 0x96, 0xA0, 0xAA, 0xB4, 0xBE, 0xFC, 0xE8,
        ];
        let values = [2030, 2000, 2020, 1_000_000].into_iter().chain((2040..=2190).step_by(10));
        assert_eq!(sum(&patched, Runs::V2), values.sum::<u64>());
        assert_eq!(sum(&[0xC6, 0x09, 0x02, 0x02, 0x22, 0x42, 0x42, 0x46], Runs::V2), 129);
        assert_eq!(sum(&[0xC0, 0x09, 0x64, 0x01], Runs::V2), (91..=100).sum::<u64>());
        assert_eq!(sum(&[0x0A, 0x27, 0x10, 0xC0, 0x00, 0x05, 0x00], Runs::V2), 50_005);
    }

    #[test]
    fn consecutive_rows_count() {
        let lengths = [0xFB, 1, 9, 8, 2, 5];
        let most = |rows| most_values(&lengths[..], Runs::V1, Some(rows)).unwrap();
        assert_eq!([most(1), most(2), most(3), most(9)], [9, 17, 19, 25]);
    }

    #[test]
    fn what_no_list_has_is_refused() {
        let huge = [0x3A, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        assert_eq!(
            most_values(&huge[..], Runs::V2, None).unwrap_err().to_string(),
            "a list of 9223372036854775807 values"
        );
        for content in [
            &[0x61, 0xFF, 0x05][..],
            &[0x61],
            &[0xFF, 0xFF, 0xFF],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F],
        ] {
            most_values(content, Runs::V1, None).unwrap_err();
        }
        // Cut off, patched behind the run, shrinking below zero, one number with differences.
        for content in [
            &[0x5E, 0x03, 0x5C][..],
            &[0x80, 0x00, 0x00, 0x21, 0x01, 0x00, 0xFF, 0xFF],
            &[0xC0, 0x09, 0x05, 0x01],
            &[0xC2, 0x00, 0x05, 0x01],
        ] {
            most_values(content, Runs::V2, None).unwrap_err();
        }
    }

    #[test]
    fn whatever_bytes_come_an_answer_does() {
        let mut state = 7_u64;
        for length in 0..2000 {
            let bytes: Vec<u8> = (0..length % 97)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            for runs in [Runs::V1, Runs::V2] {
                most_values(bytes.as_slice(), runs, Some(8)).ok();
            }
        }
    }
}
