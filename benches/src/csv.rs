//! Comma-separated values, as far as the timers need them: one record a line, fields in double
//! quotes where they hold a comma or a quote.

/// The fields of one line.
///
/// # Errors
///
/// A quoted field does not end, or text follows its end.
pub fn split(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_field(quoted).map_err(|what| format!("{what}: {line}"))?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// The field whose opening quote has been read, and what follows its closing one.
fn quoted_field(text: &str) -> Result<(String, &str), &'static str> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"').ok_or("a quoted field does not end")?;
        field += &rest[..end];
        rest = &rest[end + 1..];
        if let Some(next) = rest.strip_prefix('"') {
            field.push('"');
            rest = next;
        } else {
            let after = rest.trim_start();
            let ends = after.is_empty() || after.starts_with(',');
            return if ends { Ok((field, after)) } else { Err("text follows a quoted field") };
        }
    }
}

/// One line without its line break; `split` gives the fields back.
#[must_use]
pub fn join<S: AsRef<str>>(fields: &[S]) -> String {
    let quoted: Vec<String> = fields.iter().map(|field| quote(field.as_ref())).collect();
    quoted.join(",")
}

fn quote(field: &str) -> String {
    let field = field.replace(['\n', '\r'], " ");
    if field.contains([',', '"']) || field.trim() != field {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::{join, split};

    #[test]
    fn plain_and_quoted_fields() {
        assert_eq!(split("a, b ,,c"), Ok(vec!["a".into(), "b".into(), String::new(), "c".into()]));
        assert_eq!(split("\"a, \"\"b\"\"\", c"), Ok(vec!["a, \"b\"".into(), "c".into()]));
        assert_eq!(split(""), Ok(vec![String::new()]));
        assert!(split("a,\"b").is_err());
        assert!(split("\"a\"b,c").is_err());
    }

    #[test]
    fn joined_fields_come_back() {
        let fields = ["", "a", "b, c", "say \"d\"", " e "];
        assert_eq!(split(&join(&fields)), Ok(fields.map(str::to_owned).to_vec()));
        assert_eq!(join(&["a", "b\nc"]), "a,b c");
    }
}
