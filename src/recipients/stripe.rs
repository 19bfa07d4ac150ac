//! Stripe.

use super::{Facts, Grade, Identifier, Identifiers, Kind, OpenError, Rate, RecipientSettings};
use crate::diagnostic::Code;
use crate::rules::{
    format,
    shape::{Bounds, Field, Shape, Word},
};

pub static KIND: Kind = Kind {
    name: "stripe",
    doc: "Stripe: deletes customers, or redacts them with all their payments.",
    settings: &[
        Field {
            name: "api_key",
            required: true,
            doc: "A secret or restricted key, from a variable or file.",
            shape: Shape::Text(&format::KEY),
            example: "\"${STRIPE_KEY}\"",
        },
        Field {
            name: "mode",
            required: false,
            doc: "What is asked for; `delete` by default.",
            shape: Shape::Words(&[
                Word {
                    word: "delete",
                    doc: "the customer with payment methods and subscriptions; payments, invoices and events stay",
                },
                Word {
                    word: "redaction",
                    doc: "a redaction job (Stripe's public preview): the customer and all payments that belong to it \
                          become unreadable for good, and can be neither refunded nor defended in a dispute; payments of \
                          the last 90 days block it",
                },
            ]),
            example: "redaction",
        },
        Field {
            name: "detach_payment_methods",
            required: false,
            doc: "Detach the customer's payment methods first; `false` by default.",
            shape: Shape::Boolean,
            example: "true",
        },
        Field {
            name: "cancel_subscriptions",
            required: false,
            doc: "Cancel the customer's subscriptions first; `false` by default. (Deletion cancels them in any case.)",
            shape: Shape::Boolean,
            example: "true",
        },
        Field {
            name: "customers_per_job",
            required: false,
            doc: "Customers in one redaction job; 10 by default, which is the most that Stripe takes.",
            shape: Shape::Integer(Bounds { least: Some(1.0), most: Some(10.0), above: false, code: Code::BadLimit }),
            example: "10",
        },
    ],
    identifiers: Identifiers::Fixed {
        all: &[Identifier { name: "customer", doc: "Stripe's id of the customer.", example: "cus_NffrFeUfNV2Hib" }],
        any_of: &[&["customer"]],
    },
    check: |_| Ok(()),
    facts,
    open: |settings, _| Err(OpenError { recipient: settings.name.clone(), reason: "not yet".to_owned() }),
};

fn facts(settings: &RecipientSettings) -> Facts {
    Facts {
        batch: 1,
        calls: 1,
        rates: settings.rates(&[Rate::per_second(25)]),
        grade: Grade::E1,
        deleted: "the customer, with cards and bank accounts",
        kept: "payments, invoices, events and request logs",
        sources: &["https://docs.stripe.com/api/customers/delete"],
    }
}
