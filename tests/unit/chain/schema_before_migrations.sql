-- What programs from before migrations made of an empty SQLite file.
BEGIN TRANSACTION;
CREATE TABLE blocks (
    chain_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hash BLOB NOT NULL,
    parent_hash BLOB NOT NULL,
    timestamp BIGINT NOT NULL,
    has_logs BOOLEAN NOT NULL,
    PRIMARY KEY (chain_id, number)
);
CREATE TABLE cursor (
    chain_id BIGINT NOT NULL,
    scope BLOB NOT NULL,
    number BIGINT NOT NULL,
    hash BLOB NOT NULL,
    generation BIGINT NOT NULL,
    PRIMARY KEY (chain_id)
);
CREATE TABLE logs (
    id INTEGER NOT NULL,
    chain_id BIGINT NOT NULL,
    block BIGINT NOT NULL,
    block_hash BLOB NOT NULL,
    tx_hash BLOB NOT NULL,
    log_index INTEGER NOT NULL,
    address VARCHAR(42) NOT NULL,
    topics BLOB NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (chain_id, block_hash, tx_hash, log_index)
);
CREATE TABLE outbox (
    id INTEGER NOT NULL,
    chain_id BIGINT NOT NULL,
    sender VARCHAR(42) NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    "to" VARCHAR(42) NOT NULL,
    data BLOB NOT NULL,
    value VARCHAR(78) NOT NULL,
    transient JSON NOT NULL,
    state VARCHAR(16) NOT NULL,
    nonce BIGINT,
    mined_block BIGINT,
    mined_tx BLOB,
    reason TEXT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (chain_id, sender, "key")
);
CREATE TABLE outbox_attempts (
    tx_hash BLOB NOT NULL,
    effect_id INTEGER NOT NULL,
    raw BLOB NOT NULL,
    nonce BIGINT NOT NULL,
    gas BIGINT NOT NULL,
    max_fee VARCHAR(78) NOT NULL,
    priority_fee VARCHAR(78) NOT NULL,
    signed_at BIGINT NOT NULL,
    sent BOOLEAN NOT NULL,
    PRIMARY KEY (tx_hash),
    FOREIGN KEY(effect_id) REFERENCES outbox (id)
);
CREATE TABLE schema_version (
    id INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (id)
);
INSERT INTO "schema_version" VALUES(1,1);
CREATE INDEX ix_logs_position ON logs (chain_id, block, log_index);
CREATE INDEX ix_outbox_state ON outbox (chain_id, sender, state);
CREATE INDEX ix_attempts_effect ON outbox_attempts (effect_id);
COMMIT;
