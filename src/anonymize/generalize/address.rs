//! IP addresses: the leading bits stay, the others become zero.

use super::super::{Context, Family, Misfit, Sql};
use crate::catalog::{Column, ColumnKind, Engine, Table};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(in super::super) struct Prefix {
    pub v4: u8,
    pub v6: u8,
}

impl Prefix {
    fn bits(&self) -> (u8, u8) {
        (self.v4.min(32), self.v6.min(128))
    }

    fn network(address: Ipv4Addr, bits: u8) -> Ipv4Addr {
        Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0))
    }

    fn network_v6(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
        Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0))
    }
}

impl Family for Prefix {
    fn label(&self) -> String {
        format!("first {} bits of the IP address kept ({} of IPv6)", self.v4, self.v6)
    }

    fn misfits(&self, column: &Column, _: &Table, engine: Engine) -> Vec<Misfit> {
        let (v4, v6) = self.bits();
        match (engine, column.kind) {
            (Engine::Postgres, ColumnKind::Inet) => Vec::new(),
            (Engine::Mysql, ColumnKind::Inet | ColumnKind::Text) if v4 % 8 == 0 && v6 % 8 == 0 => Vec::new(),
            (Engine::Mysql, ColumnKind::Inet | ColumnKind::Text) => {
                let needed = "whole bytes: MySQL has no arithmetic for IPv6 addresses";
                vec![Misfit::kind(column, needed, "use multiples of 8, for example v4: 24 and v6: 48")]
            }
            (Engine::Postgres, ColumnKind::Text) => {
                let help = "make it an `inet` column, or use `suppress`, `mask` or `truncate`";
                vec![Misfit::kind(column, "inet or cidr: casting any other text would fail the statement", help)]
            }
            (Engine::Sqlite, _) => {
                let help = "use `suppress`, `mask` or `truncate`";
                vec![Misfit::kind(column, "functions for IP addresses, which SQLite lacks", help)]
            }
            _ => vec![Misfit::kind(column, "IP addresses", "use `suppress`")],
        }
    }

    fn expression(&self, column: &Column, context: &Context) -> Option<Sql> {
        let (value, (v4, v6)) = (&context.column_sql, self.bits());
        match context.engine {
            // A network that is wider already stays as wide.
            Engine::Postgres => Some(Sql::new(format!(
                "network(set_masklen({value}::inet, least(masklen({value}::inet), \
                 case family({value}::inet) when 4 then {v4} else {v6} end)))::{}",
                column.sql_type
            ))),
            Engine::Mysql => {
                let text = format!("cast({value} as char)");
                let network = |bits: u8, bytes: u8| {
                    let kept = format!("left(inet6_aton({text}), {})", bits / 8);
                    format!("inet6_ntoa(rpad({kept}, {bytes}, x'00'))")
                };
                Some(Sql::new(format!(
                    "case when is_ipv4({text}) then {} when is_ipv6({text}) then {} end",
                    network(v4, 4),
                    network(v6, 16)
                )))
            }
            Engine::Sqlite => None,
        }
    }

    fn apply(&self, value: &str, _: &Column, _: &str, context: &Context) -> Option<String> {
        let (v4, v6) = self.bits();
        let (address, length) = match (value.split_once('/'), context.engine) {
            (Some((address, length)), Engine::Postgres) => (address, length.parse().ok()?),
            _ => (value, u8::MAX),
        };
        let (network, bits, all) = match address.parse().ok()? {
            IpAddr::V4(address) => {
                let bits = v4.min(length);
                (Self::network(address, bits).to_string(), bits, 32)
            }
            IpAddr::V6(address) => {
                let bits = v6.min(length);
                (Self::network_v6(address, bits).to_string(), bits, 128)
            }
        };
        // `cidr` prints the length always, `inet` where it is not a single address.
        let with_length = context.engine == Engine::Postgres && (bits < all || value.contains('/'));
        Some(if with_length { format!("{network}/{bits}") } else { network })
    }
}
