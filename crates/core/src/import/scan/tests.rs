use super::*;

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// Every record of a text that comes in pieces of at most `piece` bytes.
fn records(text: &str, piece: usize, scanner: &mut Scanner) -> Result<Vec<Vec<String>>, ScanError> {
    let (mut records, mut at, mut known) = (Vec::new(), 0, 0);
    loop {
        let at_end = known == text.len();
        match scanner.scan(&text.as_bytes()[at..known], at_end)? {
            Scanned::Partial if at_end => return Ok(records),
            Scanned::Partial => known = text.len().min(known + piece),
            Scanned::Skipped(length) => at += length,
            Scanned::Record(length) => {
                let record = &text[at..at + length];
                records.push(scanner.fields().iter().map(|field| scanner.value(field, record).into_owned()).collect());
                at += length;
            }
        }
    }
}

fn plain(text: &str) -> Result<Vec<Vec<String>>, ScanError> {
    records(text, 3, &mut Scanner::new(Syntax::default()))
}

#[test]
fn agrees_with_another_reader_on_random_records() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let alphabet = ["a", "b", "\"", ",", "\n", "\r\n", " ", "é", "", "日"];
    for round in 0..2000 {
        let fields = 1 + dice.below(4);
        let mut text = String::new();
        for _ in 0..dice.below(6) {
            for field in 0..fields {
                let value: String = (0..dice.below(5)).map(|_| alphabet[dice.below(alphabet.len())]).collect();
                let quoted = value.is_empty() || value.contains(['"', ',', '\n', '\r']) || dice.below(3) == 0;
                text += if field > 0 { "," } else { "" };
                text += &if quoted { format!("\"{}\"", value.replace('"', "\"\"")) } else { value };
            }
            text += if dice.below(2) == 0 { "\n" } else { "\r\n" };
        }
        if dice.below(2) == 0 {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let expected: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_string).collect()).collect();
        for strict in [false, true] {
            let mut scanner = Scanner::new(Syntax { strict, ..Syntax::default() });
            let found = records(&text, 1 + round % 7, &mut scanner).unwrap();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}

#[test]
fn lines_end_with_either_break_or_with_the_file() {
    let expected = [vec!["a", "b"], vec!["c", ""]];
    for text in ["a,b\nc,\n", "a,b\r\nc,\r\n", "a,b\nc,", "\n\r\na,b\n\nc,\n\r\n"] {
        assert_eq!(plain(text).unwrap(), expected, "{text:?}");
    }
    assert!(plain("").unwrap().is_empty());
}

#[test]
fn lone_quotes_stand_for_themselves_unless_strict() {
    assert_eq!(plain("\"a\"b\",c\"d\n").unwrap(), [["a\"b", "c\"d"]]);
    let strict =
        |text| records(text, 100, &mut Scanner::new(Syntax { strict: true, ..Syntax::default() })).unwrap_err();
    assert_eq!(strict("\"a\"b\",c\n"), ScanError::TextAfterQuote);
    assert_eq!(strict("a,c\"d\n"), ScanError::BareQuote);
}

#[test]
fn a_quote_never_closed_is_an_error() {
    assert_eq!(plain("a,b\nc,\"d\ne,f\n").unwrap_err(), ScanError::Unterminated);
    assert_eq!(plain("\"").unwrap_err(), ScanError::Unterminated);
    assert_eq!(plain("\"a\"\"").unwrap_err(), ScanError::Unterminated);
}

#[test]
fn comments_are_whole_lines() {
    let mut scanner = Scanner::new(Syntax { delimiter: b"|".into(), comment: Some(b'#'), ..Syntax::default() });
    assert_eq!(records("# x|\"\na|#b\n#end", 2, &mut scanner).unwrap(), [["a", "#b"]]);
}

#[test]
fn bytes_have_the_meaning_that_they_are_given() {
    let syntax =
        Syntax { delimiter: b";".into(), quote: b'\'', escape: Some(b'\\'), record_end: b'|', ..Syntax::default() };
    let text = "a;'b\\'\\\\;c''|';\"d\"|\n;\r|";
    for piece in [1, 2, 100] {
        let found = records(text, piece, &mut Scanner::new(syntax.clone())).unwrap();
        assert_eq!(found, [vec!["a", "b'\\;c'|", "\"d\""], vec!["\n", "\r"]]);
    }
    let unended = records("'a\\'", 100, &mut Scanner::new(syntax)).unwrap_err();
    assert_eq!(unended, ScanError::Unterminated);
}

#[test]
fn delimiters_of_several_bytes_and_spaces_around_fields() {
    let syntax = |delimiter: &str, trim| Syntax { delimiter: delimiter.into(), trim, ..Syntax::default() };
    for (delimiter, trim, text, expected) in [
        ("||", false, "a||b|c||\n|||x||\"y\"\"||\"||z|\n", "a,b|c,;,|x,y\"||,z|"),
        ("||", false, "a|", "a|"),
        ("aab|", false, "xaaab|y\naab|", "xa,y;,"),
        ("¦¦", false, "é¦¦¦x¦¦\"¦¦\"\n", "é,¦x,¦¦"),
        (",", true, "  a b , \" c \" ,\" \"\"d\"  \r\n  ,e \r\n", "a b, c , \"d;,e"),
        ("||", true, " a || \"b\"  ||c  ", "a,b,c"),
    ] {
        for piece in 4..6 {
            let found = records(text, piece, &mut Scanner::new(syntax(delimiter, trim))).unwrap();
            let found: Vec<_> = found.iter().map(|record| record.join(",")).collect();
            assert_eq!(found.join(";"), expected, "{text:?} in pieces of {piece}");
        }
    }
    let broken = records(" \"a\" b, c", 1, &mut Scanner::new(syntax(",", true)));
    assert_eq!(broken.unwrap_err(), ScanError::Unterminated);
}
