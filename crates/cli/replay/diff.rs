//! What differs between two states of a node.

use serde_json::Value;

/// Lines `path: before -> after`, in order of the paths; at most that many.
pub(crate) fn lines(before: &Value, after: &Value, most: usize) -> (Vec<String>, usize) {
    let mut found = Vec::new();
    compare(&mut String::new(), before, after, &mut found);
    let more = found.len().saturating_sub(most);
    found.truncate(most);
    (found, more)
}

/// Where in the state `path` leads; empty: all of it.
pub(crate) fn at<'a>(state: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(state, |value, part| match value {
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        value => value.get(part),
    })
}

fn compare(path: &mut String, before: &Value, after: &Value, found: &mut Vec<String>) {
    if before == after {
        return;
    }
    let length = path.len();
    let mut inner = |name: &str, one: Option<&Value>, other: Option<&Value>| {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        match (one, other) {
            (Some(one), Some(other)) => compare(path, one, other, found),
            (None, Some(new)) => found.push(format!("{path}: new: {}", short(new))),
            (Some(old), None) => found.push(format!("{path}: gone: {}", short(old))),
            (None, None) => {}
        }
        path.truncate(length);
    };
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let added = other.keys().filter(|name| !one.contains_key(*name));
            for name in one.keys().chain(added) {
                inner(name, one.get(name), other.get(name));
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            let (shared, gone) = matched(one, other);
            for at in shared..shared + gone {
                inner(&at.to_string(), one.get(at), None);
            }
            let (mut one_end, mut other_end) = (one.len(), other.len());
            while one_end > shared + gone && other_end > shared && one[one_end - 1] == other[other_end - 1] {
                (one_end, other_end) = (one_end - 1, other_end - 1);
            }
            for at in 0..(one_end - shared - gone).max(other_end - shared) {
                let (old, new) = (one[..one_end].get(shared + gone + at), other[..other_end].get(shared + at));
                if old != new {
                    inner(&(shared + at).to_string(), old, new);
                }
            }
        }
        _ => found.push(format!("{path}: {} -> {}", short(before), short(after))),
    }
}

/// How many elements two lists begin with alike, and how many then left so that the rest moved up: a queue is told by who
/// came and who went, not as a change of every place.
fn matched(one: &[Value], other: &[Value]) -> (usize, usize) {
    let shared = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[shared..], &other[shared..]);
    let gone = (1..one.len()).find(|gone| other.starts_with(&one[*gone..]));
    (shared, gone.unwrap_or(0))
}

/// A value in at most a line.
fn short(value: &Value) -> String {
    const MOST: usize = 160;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changes_additions_and_losses_are_told_by_path() {
        let before = json!({"a": {"x": 1, "y": [1, 2]}, "b": "same", "c": null});
        let after = json!({"a": {"x": 2, "y": [1]}, "b": "same", "d": [true]});
        let (lines, more) = lines(&before, &after, 3);
        assert_eq!(lines, ["a.x: 1 -> 2", "a.y.1: gone: 2", "c: gone: null"]);
        assert_eq!(more, 1);
        assert_eq!(at(&after, "d.0"), Some(&json!(true)));
    }

    #[test]
    fn a_queue_is_told_by_who_came_and_went() {
        let told = |before: Value, after: Value| lines(&before, &after, 9).0;
        assert_eq!(told(json!([1, 2, 3, 4]), json!([3, 4, 5])), ["0: gone: 1", "1: gone: 2", "2: new: 5"]);
        assert_eq!(told(json!([7, 1, 2, 3]), json!([7, 2, 3])), ["1: gone: 1"]);
        assert_eq!(told(json!([1, 2, 3]), json!([1, 9, 2, 3])), ["1: new: 9"]);
        assert_eq!(told(json!([1, 2, 3]), json!([1, 8, 3])), ["1: 2 -> 8"]);
        assert_eq!(told(json!([1, 2]), json!([])), ["0: gone: 1", "1: gone: 2"]);
        assert_eq!(told(json!([]), json!([1])), ["0: new: 1"]);
        assert_eq!(told(json!([5, 1, 1]), json!([1, 1, 5])), ["0: gone: 5", "2: new: 5"]);
    }
}
