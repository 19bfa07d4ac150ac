//! How numbers are added up so that the total is exact, or the statement fails and the rows stay.
//!
//! Servers add whole and decimal numbers exactly, and refuse what their column cannot hold. SQLite does neither: a sum beyond 64
//! bits becomes a floating-point number, texts count as 0, and decimals are floating-point numbers from the start. There, decimals
//! are added as whole numbers of their last place, and what is not exact fails the statement.

/// What is done with a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// The server does it right.
    Server,
    /// PostgreSQL's decimals and floating-point numbers: infinity and NaN would be all that is left of a total.
    Finite,
    /// SQLite's whole numbers.
    Whole,
    /// SQLite's decimals with so many places after the point.
    Decimal(u32),
    /// SQLite's floating-point numbers.
    Double,
}

/// Up to here floating-point numbers hold every whole number.
const EXACT: u64 = 1 << 53;

/// SQLite's decimals have no more places.
pub const MOST_PLACES: u32 = 15;

impl Arithmetic {
    /// A condition, never null, that the value can be added; `None` where all can.
    pub fn addable(self, value: &str) -> Option<String> {
        let is_number = format!("typeof({value}) in ('integer', 'real')");
        match self {
            Self::Server => None,
            Self::Finite => Some(format!("({value} is null or {value} - {value} = 0)")),
            Self::Whole => Some(format!("(typeof({value}) in ('integer', 'null'))")),
            Self::Decimal(places) => {
                let (unit, most) = (10_u64.pow(places), EXACT / 10_u64.pow(places));
                Some(format!(
                    "(case when {is_number} then {value} between -{most} and {most} and round({value} * {unit}) / {unit}.0 = {value} \
                     else {value} is null end)"
                ))
            }
            Self::Double => Some(format!(
                "(case when {is_number} then {value} between -1.7976931348623157e308 and 1.7976931348623157e308 \
                 else {value} is null end)"
            )),
        }
    }

    /// The value as it is added up, or an error.
    pub fn term(self, value: &str, sql_type: &str) -> String {
        let Some(addable) = self.addable(value) else { return value.to_owned() };
        match self {
            // text that no number is made of
            Self::Finite => format!("case when {addable} then {value} else ({value}::text || '!')::{sql_type} end"),
            _ => format!("case when {addable} then {} else {} end", self.units(value), failure(value)),
        }
    }

    /// The column's old total and what is added, or an error.
    pub fn total(self, old: &str, added: &str) -> String {
        let known = format!("coalesce({old}, 0)");
        let Some(addable) = self.addable(old) else { return format!("{known} + {added}") };
        let (sum, fits, shown) = match self {
            Self::Server | Self::Finite => return format!("{known} + {added}"),
            Self::Whole => {
                let sum = format!("({known} + {added})");
                (sum.clone(), format!("typeof({sum}) = 'integer'"), sum)
            }
            Self::Decimal(places) => {
                let sum = format!("({} + {added})", self.units(&known));
                (
                    sum.clone(),
                    format!("{sum} between -{EXACT} and {EXACT}"),
                    format!("{sum} / {}.0", 10_u64.pow(places)),
                )
            }
            Self::Double => {
                let sum = format!("({known} + {added})");
                let fits = format!("{sum} between -1.7976931348623157e308 and 1.7976931348623157e308");
                (sum.clone(), fits, sum)
            }
        };
        format!("case when {addable} and {fits} then {shown} else {} end", failure(&sum))
    }

    fn units(self, value: &str) -> String {
        match self {
            Self::Decimal(places) => format!("cast(round({value} * {}) as integer)", 10_u64.pow(places)),
            _ => value.to_owned(),
        }
    }
}

/// Fails with `integer overflow`, SQLite's only error that an expression can ask for. It has to hang on the row: what is
/// constant is computed before the first one.
fn failure(value: &str) -> String {
    format!("abs(-9223372036854775807 - (({value}) is ({value})))")
}
