"""The tables, as SQLite knows them, and how they came to be. Times are text as `clock.to_text` writes it."""

from sqlite_utils import Database, Migrations

from receiver.errors import StoreUnavailable

migrations = Migrations("receiver")


@migrations()
def create_tables(db: Database) -> None:
    """The first tables."""
    for statement in _FIRST:
        db.execute(statement)


@migrations()
def submit_and_follow(db: Database) -> None:
    """Intents, and what polling-only providers tell in several answers."""
    for statement in _SUBMIT_AND_FOLLOW:
        db.execute(statement)


@migrations()
def hold_handlers(db: Database) -> None:
    """What keeps handlers from being run: failures, and limits."""
    for statement in _HOLD_HANDLERS:
        db.execute(statement)


@migrations()
def rank_replays(db: Database) -> None:
    """Replays have an id and let live dispatches go first; dead letters are found without looking at the others."""
    for statement in _RANK_REPLAYS:
        db.execute(statement)


@migrations()
def keep_keys(db: Database) -> None:
    """The keys that providers publish to check their signatures with."""
    for statement in _KEEP_KEYS:
        db.execute(statement)


@migrations()
def open_to_people(db: Database) -> None:
    """Tokens and sessions of the admin side, answers that are given once, and what a person has paused."""
    for statement in _OPEN_TO_PEOPLE:
        db.execute(statement)


@migrations()
def watch_over(db: Database) -> None:
    """What is wrong, and whether people were told; dead letters are counted by handler."""
    for statement in _WATCH_OVER:
        db.execute(statement)


@migrations()
def share_work(db: Database) -> None:
    """Who does what is done once for all, and which dispatches wait in a broker's queue."""
    for statement in _SHARE_WORK:
        db.execute(statement)


@migrations()
def let_go(db: Database) -> None:
    """What is old goes; the keys of events and the fingerprints of bodies stay."""
    for statement in _LET_GO:
        db.execute(statement)


@migrations()
def learn_job_times(db: Database) -> None:
    """When jobs ended, as closely as it is known."""
    for statement in _LEARN_JOB_TIMES:
        db.execute(statement)


@migrations()
def find_for_people(db: Database) -> None:
    """What lists are asked for most is found without looking at the rest."""
    for statement in _FIND_FOR_PEOPLE:
        db.execute(statement)


@migrations()
def trace_events(db: Database) -> None:
    """Which step of a trace recorded an event."""
    db.execute("ALTER TABLE events ADD COLUMN traceparent TEXT")


@migrations()
def seal_rows(db: Database) -> None:
    """Which keys have sealed something."""
    # One row for each key that may have sealed something.
    db.execute("CREATE TABLE seals (proof TEXT PRIMARY KEY, made_at TEXT NOT NULL) STRICT")


@migrations()
def count_credits(db: Database) -> None:
    """What jobs cost is summed without looking at what was told of them."""
    for statement in _COUNT_CREDITS:
        db.execute(statement)


def migrate(db: Database) -> None:
    """Bring the tables up to date. Safe to run from every process at once.

    Raises:
        StoreUnavailable: the database was made by a newer Receiver.
    """
    if not migrations.pending(db):
        _refuse_newer(db)
        return
    # Several processes that find migrations pending would each apply them: look again once nobody else can write.
    db.execute("BEGIN IMMEDIATE")
    try:
        _refuse_newer(db)
        migrations.apply(db)
        db.execute("COMMIT")
    except BaseException:
        # A full disk has ended it already.
        if db.conn.in_transaction:
            db.execute("ROLLBACK")
        raise


def _refuse_newer(db: Database) -> None:
    known = {migration.name for migration in migrations._migrations}
    unknown = [applied.name for applied in migrations.applied(db) if applied.name not in known]
    if unknown:
        raise StoreUnavailable(f"the database was made by a newer Receiver ({unknown[-1]}); upgrade this one")


_FIRST = (
    """
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        job_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        status TEXT NOT NULL,
        raw_status TEXT,
        progress REAL,
        metadata TEXT NOT NULL DEFAULT '{}',
        origin TEXT NOT NULL,                   -- track, event, hint or listed: how we first heard of it
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        finished_at TEXT,
        deadline_at TEXT NOT NULL,
        next_poll_at TEXT,
        last_poll_at TEXT,
        poll_count INTEGER NOT NULL DEFAULT 0,
        error_count INTEGER NOT NULL DEFAULT 0,
        missing_count INTEGER NOT NULL DEFAULT 0,
        last_error TEXT,
        UNIQUE (source, job_id),
        -- An open job always has a next poll; one that ended has none.
        CHECK ((finished_at IS NULL) = (next_poll_at IS NOT NULL)),
        CHECK ((finished_at IS NULL) = (status IN ('queued', 'running')))
    ) STRICT
    """,
    "CREATE INDEX jobs_due ON jobs (source, next_poll_at) WHERE next_poll_at IS NOT NULL",
    "CREATE INDEX jobs_hinted ON jobs (source) WHERE origin = 'hint' AND finished_at IS NULL",
    """
    CREATE TABLE deliveries (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        via TEXT NOT NULL,
        trust TEXT NOT NULL,
        verdict TEXT NOT NULL,
        note TEXT,
        path TEXT NOT NULL,
        headers TEXT NOT NULL,
        body BLOB NOT NULL,
        fingerprint TEXT,                       -- no longer used: see the table `fingerprints`
        received_at TEXT NOT NULL,
        seen_count INTEGER NOT NULL DEFAULT 1,
        last_seen_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX deliveries_fingerprint ON deliveries (source, fingerprint) WHERE fingerprint IS NOT NULL",
    "CREATE INDEX deliveries_hints ON deliveries (source, id) WHERE trust = 'hint'",
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        key TEXT NOT NULL,
        type TEXT NOT NULL,
        job_id TEXT,
        kind TEXT,
        status TEXT,
        raw_status TEXT,
        standing TEXT NOT NULL,
        trust TEXT NOT NULL,
        via TEXT NOT NULL,
        outputs TEXT NOT NULL,
        failure TEXT,
        data TEXT NOT NULL,
        occurred_at TEXT,
        recorded_at TEXT NOT NULL,
        webhook_at TEXT,                        -- when a webhook first told it
        poll_at TEXT,                           -- when a poll first told it
        delivery_id INTEGER,                    -- what told it first; the key outlives the delivery
        routed_at TEXT,
        UNIQUE (source, key)
    ) STRICT
    """,
    "CREATE INDEX events_unrouted ON events (id) WHERE routed_at IS NULL",
    """
    CREATE TABLE dispatches (
        id INTEGER PRIMARY KEY,
        event_id INTEGER NOT NULL REFERENCES events (id),
        handler TEXT NOT NULL,
        replay INTEGER NOT NULL DEFAULT 0,      -- 0 for the first, then counted
        source TEXT NOT NULL,
        job_id TEXT,
        state TEXT NOT NULL,
        idempotency_key TEXT NOT NULL UNIQUE,
        attempt_count INTEGER NOT NULL DEFAULT 0,
        due_at TEXT NOT NULL,
        token TEXT,
        worker TEXT,
        started_at TEXT,
        leased_until TEXT,
        error TEXT,
        result TEXT,
        created_at TEXT NOT NULL,
        finished_at TEXT,
        UNIQUE (event_id, handler, replay),
        CHECK ((state = 'running') = (token IS NOT NULL)),
        CHECK ((state = 'running') = (leased_until IS NOT NULL))
    ) STRICT
    """,
    "CREATE INDEX dispatches_due ON dispatches (handler, due_at) WHERE state = 'pending'",
    "CREATE INDEX dispatches_leased ON dispatches (leased_until) WHERE state = 'running'",
    """
    CREATE INDEX dispatches_unfinished ON dispatches (source, job_id, handler, id)
    WHERE state IN ('pending', 'running')
    """,
    """
    CREATE TABLE attempts (
        id INTEGER PRIMARY KEY,
        dispatch_id INTEGER NOT NULL REFERENCES dispatches (id),
        number INTEGER NOT NULL,
        worker TEXT,
        started_at TEXT NOT NULL,
        ended_at TEXT NOT NULL,
        outcome TEXT NOT NULL,
        error TEXT
    ) STRICT
    """,
    "CREATE INDEX attempts_dispatch ON attempts (dispatch_id, id)",
    """
    CREATE TABLE quarantine (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        reason TEXT NOT NULL,
        hint TEXT NOT NULL,
        path TEXT NOT NULL,
        headers TEXT NOT NULL,
        body BLOB NOT NULL,
        received_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX quarantine_source ON quarantine (source, id)",
    """
    CREATE TABLE requests (                     -- one row for each request spent, as long as its span lasts
        source TEXT NOT NULL,
        sent_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX requests_sent ON requests (source, sent_at)",
    """
    CREATE TABLE limits (                       -- what a provider said of its request budget
        source TEXT PRIMARY KEY,
        count INTEGER,
        remaining INTEGER,
        resets_at TEXT,
        paused_until TEXT
    ) STRICT
    """,
    "CREATE TABLE proofs (id INTEGER PRIMARY KEY, proved_at TEXT NOT NULL) STRICT",
)

_SUBMIT_AND_FOLLOW = (
    "ALTER TABLE jobs ADD COLUMN step TEXT",
    "ALTER TABLE jobs ADD COLUMN reference TEXT",
    "ALTER TABLE jobs ADD COLUMN incomplete_count INTEGER NOT NULL DEFAULT 0",
    """
    UPDATE events SET outputs = (
        SELECT json_group_array(json_object('url', value, 'authorized', json('false'))) FROM json_each(outputs))
    """,
    """
    CREATE TABLE intents (                      -- create calls of which nobody knows yet what they led to
        id TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        kind TEXT NOT NULL,
        metadata TEXT NOT NULL,
        created_at TEXT NOT NULL,
        error TEXT
    ) STRICT
    """,
)

_HOLD_HANDLERS = (
    """
    CREATE TABLE handlers (                     -- one row for each that something keeps, or kept
        name TEXT PRIMARY KEY,
        failure_count INTEGER NOT NULL DEFAULT 0,
        park_count INTEGER NOT NULL DEFAULT 0,
        parked_until TEXT,
        limited_until TEXT
    ) STRICT
    """,
    """
    CREATE TABLE starts (                       -- one row for each attempt that a limit counts, as long as it does
        handler TEXT NOT NULL,
        started_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX starts_handler ON starts (handler, started_at)",
)

_RANK_REPLAYS = (
    "ALTER TABLE dispatches ADD COLUMN replay_id TEXT",
    # Lower ranks go first: 0 is live, 1 is replayed.
    "ALTER TABLE dispatches ADD COLUMN rank INTEGER NOT NULL DEFAULT 0",
    "DROP INDEX dispatches_due",
    "CREATE INDEX dispatches_due ON dispatches (handler, rank, due_at) WHERE state = 'pending'",
    "CREATE INDEX dispatches_replayed ON dispatches (replay_id, state) WHERE replay_id IS NOT NULL",
    "CREATE INDEX dispatches_dead ON dispatches (id) WHERE state = 'dead'",
)

_KEEP_KEYS = (
    """
    CREATE TABLE keys (
        source TEXT PRIMARY KEY,
        keys TEXT NOT NULL,
        fetched_at TEXT,
        wanted INTEGER NOT NULL DEFAULT 0,      -- a signature was met that none of them made
        tried_at TEXT
    ) STRICT
    """,
)

_OPEN_TO_PEOPLE = (
    """
    CREATE TABLE tokens (
        name TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        scopes TEXT NOT NULL,
        created_at TEXT NOT NULL,
        expires_at TEXT,
        last_used_at TEXT
    ) STRICT
    """,
    """
    CREATE TABLE sessions (
        digest TEXT PRIMARY KEY,
        token_digest TEXT NOT NULL,             -- what it was opened with: it ends with that token
        created_at TEXT NOT NULL,
        expires_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX sessions_token ON sessions (token_digest, expires_at)",
    """
    CREATE TABLE answers (                      -- to requests with an idempotency key, as long as they are kept
        token TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        status INTEGER,                         -- none before the request is answered
        body TEXT,
        began_at TEXT NOT NULL,
        PRIMARY KEY (token, key)
    ) STRICT
    """,
    "CREATE INDEX answers_began ON answers (began_at)",
    "ALTER TABLE handlers ADD COLUMN paused_at TEXT",
    """
    CREATE TABLE sources (                      -- one row for each that a person has paused, or had
        name TEXT PRIMARY KEY,
        paused_at TEXT
    ) STRICT
    """,
)

_WATCH_OVER = (
    """
    CREATE TABLE alerts (                       -- what is wrong, until people were told that it is over
        cause TEXT PRIMARY KEY,
        summary TEXT NOT NULL,
        since TEXT NOT NULL,
        told_at TEXT,
        over_at TEXT                            -- since when it is no longer so
    ) STRICT
    """,
    "CREATE INDEX dispatches_dead_handler ON dispatches (handler) WHERE state = 'dead'",
    # Without it, counting reasons would read every body.
    "CREATE INDEX quarantine_reasons ON quarantine (source, reason, received_at)",
)

_SHARE_WORK = (
    "CREATE TABLE turns (name TEXT PRIMARY KEY, taken_at TEXT NOT NULL) STRICT",
    """
    CREATE TABLE queued (                       -- one row for each until somebody has tried to claim it
        dispatch_id INTEGER PRIMARY KEY,
        handler TEXT NOT NULL,
        queued_at TEXT NOT NULL
    ) STRICT
    """,
    "CREATE INDEX queued_handler ON queued (handler, queued_at)",
)

_LET_GO = (
    """
    CREATE TABLE fingerprints (                 -- of bodies, where no event key tells a repetition
        source TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        delivery_id INTEGER NOT NULL,
        received_at TEXT NOT NULL,
        PRIMARY KEY (source, fingerprint)
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX fingerprints_delivery ON fingerprints (delivery_id)",
    """
    INSERT INTO fingerprints (source, fingerprint, delivery_id, received_at)
    SELECT source, fingerprint, id, received_at FROM deliveries WHERE fingerprint IS NOT NULL
    """,
    # To drop the column would write every delivery anew.
    "DROP INDEX deliveries_fingerprint",
    "ALTER TABLE events ADD COLUMN emptied_at TEXT",
)

_LEARN_JOB_TIMES = (
    # When a poll last found it open.
    "ALTER TABLE jobs ADD COLUMN open_at TEXT",
    # When it ended, where somebody said so: for a webhook, when that came.
    "ALTER TABLE jobs ADD COLUMN ended_at TEXT",
    # Since then a poll came late or failed: it may have ended long before it was noticed.
    "ALTER TABLE jobs ADD COLUMN unwatched INTEGER NOT NULL DEFAULT 0",
)

# But for the first, they hold few of the rows, as each costs a delivery time and room.
_FIND_FOR_PEOPLE = (
    "CREATE INDEX events_job ON events (job_id) WHERE job_id IS NOT NULL",
    "CREATE INDEX events_not_succeeded ON events (status, id) WHERE status <> 'succeeded'",
    "CREATE INDEX deliveries_not_recorded ON deliveries (verdict, id) WHERE verdict <> 'recorded'",
    "CREATE INDEX jobs_open ON jobs (id) WHERE next_poll_at IS NOT NULL",
    """
    CREATE INDEX jobs_unsuccessful ON jobs (status, id)
    WHERE status IN ('failed', 'cancelled', 'expired', 'lost')
    """,
)

_COUNT_CREDITS = (
    # What it cost, where its end says so.
    "ALTER TABLE jobs ADD COLUMN credits REAL",
    "CREATE INDEX jobs_credits ON jobs (finished_at, source, kind, status, credits) WHERE credits IS NOT NULL",
)
