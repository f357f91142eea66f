// The tables of `state.sqlite`, written by audit.ts and read by history.ts.

export const AUDIT_FILE = 'state.sqlite'

/** Raised when a table changes: a file of another version is set aside. */
export const SCHEMA_VERSION = 2

/** Times are milliseconds since 1970, durations seconds. A rejection without an author or a round has '' or -1. */
export const SCHEMA = `
  CREATE TABLE IF NOT EXISTS rounds (
    round INTEGER PRIMARY KEY, at REAL NOT NULL,
    steps INTEGER, samples INTEGER, train_loss REAL, train_seconds REAL,
    rule TEXT, f INTEGER, accepted INTEGER, trimmed INTEGER, rejected INTEGER, influence REAL, aggregate_seconds REAL,
    loss REAL, accuracy REAL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS inputs (
    round INTEGER NOT NULL, author TEXT NOT NULL, input_round INTEGER NOT NULL,
    weight REAL, distance REAL, kept INTEGER NOT NULL, why TEXT NOT NULL, clip REAL, trimmed REAL,
    PRIMARY KEY (round, author)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS rejections (
    code TEXT NOT NULL, author TEXT NOT NULL, round INTEGER NOT NULL, count INTEGER NOT NULL, first REAL NOT NULL, last REAL NOT NULL,
    PRIMARY KEY (code, author, round)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS happenings (id INTEGER PRIMARY KEY, at REAL NOT NULL, type TEXT NOT NULL, round INTEGER, event TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS records (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, envelope BLOB NOT NULL) STRICT;
  PRAGMA user_version = ${SCHEMA_VERSION};
`
