//! The words of anchors: places outside that keep the ledger's checkpoints.

use crate::{
    language::{
        format,
        shape::{Field, Kinds, MapShape, Shape, Word},
    },
    rules::language::{PERIOD, TEXT},
};

pub(super) static ANCHOR: Kinds = Kinds { what: "an anchor", all: || ALL };

const FOLDER: Word = Word { word: "folder", doc: "A folder: one file for each checkpoint, never overwritten." };
const BUCKET: Word = Word {
    word: "bucket",
    doc: "A bucket of Amazon S3 or of what speaks its language: one object for each checkpoint.",
};
const WITNESS: Word = Word {
    word: "witness",
    doc: "A witness that cosigns checkpoints and never two that contradict each other ([C2SP \
          tlog-witness](https://c2sp.org/tlog-witness)).",
};
const REPOSITORY: Word =
    Word { word: "repository", doc: "A git repository: one file for each checkpoint, on a branch that only grows." };

static ALL: &[(&str, MapShape)] = &[
    (
        "folder",
        MapShape::new(
            "an anchor of kind folder",
            &[
                Field::optional(Kinds::KEY, FOLDER.doc, Shape::Words(&[FOLDER]), "folder"),
                Field::required(
                    "path",
                    "A folder that is there already, best on a machine or a medium that Sunset's administrator cannot change: a \
                     write-once share, a folder of the auditor's. A relative path starts at the job directory.",
                    Shape::Text(&format::PATH),
                    "/mnt/write-once/sunset",
                ),
            ],
        ),
    ),
    (
        "bucket",
        MapShape::new(
            "an anchor of kind bucket",
            &[
                Field::optional(Kinds::KEY, BUCKET.doc, Shape::Words(&[BUCKET]), "bucket"),
                Field::required("bucket", "The bucket's name.", TEXT, "sunset-checkpoints"),
                Field::required("region", "Its region.", TEXT, "ap-northeast-1"),
                Field::optional(
                    "url",
                    "The endpoint of what is not Amazon S3 and speaks its language; the bucket's name goes into the path.",
                    Shape::Text(&format::SETTING),
                    "https://objects.example.com",
                ),
                Field::optional("prefix", "What the objects' keys begin with.", TEXT, "sunset/"),
                Field::required(
                    "access_key_id",
                    "The access key's id, from a variable or a file.",
                    Shape::Text(&format::KEY),
                    "\"${ANCHOR_ACCESS_KEY_ID}\"",
                ),
                Field::required(
                    "secret_access_key",
                    "The secret access key, from a variable or a file.",
                    Shape::Text(&format::KEY),
                    "\"${ANCHOR_SECRET_ACCESS_KEY}\"",
                ),
                Field::optional(
                    "session_token",
                    "The session's token, where the key is a temporary one.",
                    Shape::Text(&format::KEY),
                    "\"${ANCHOR_SESSION_TOKEN}\"",
                ),
                Field::optional(
                    "lock_for",
                    "How long each checkpoint is locked, in compliance mode: nobody deletes it before, the account's root user \
                     included. The bucket needs object lock. Without it, the bucket's own default applies.",
                    PERIOD,
                    "10 years",
                ),
            ],
        ),
    ),
    (
        "witness",
        MapShape::new(
            "an anchor of kind witness",
            &[
                Field::optional(Kinds::KEY, WITNESS.doc, Shape::Words(&[WITNESS]), "witness"),
                Field::required(
                    "url",
                    "Its submission prefix: what stands before `/add-checkpoint`.",
                    Shape::Text(&format::SETTING),
                    "https://witness.example.com",
                ),
                Field::required(
                    "key",
                    "Its public key, as the witness gives it: `name+hash+base64`.",
                    TEXT,
                    "witness.example.com+7ed0d4a1+BN…",
                ),
            ],
        ),
    ),
    (
        "repository",
        MapShape::new(
            "an anchor of kind repository",
            &[
                Field::optional(Kinds::KEY, REPOSITORY.doc, Shape::Words(&[REPOSITORY]), "repository"),
                Field::required(
                    "url",
                    "Where the program `git` fetches from and pushes to: a URL or a path. Passwords come from git's own \
                     configuration, or from a variable.",
                    Shape::Text(&format::SETTING),
                    "git@git.example.com:audit/checkpoints.git",
                ),
                Field::optional(
                    "branch",
                    "The branch that grows by one commit for each checkpoint; `sunset` by default.",
                    TEXT,
                    "checkpoints",
                ),
            ],
        ),
    ),
];
