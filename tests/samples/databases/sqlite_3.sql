BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'receiver','create_tables','2026-11-21 20:35:34.647903+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'receiver','submit_and_follow','2026-11-21 20:35:34.648606+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'receiver','hold_handlers','2026-11-21 20:35:34.648819+00:00');
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
    ;
INSERT INTO "attempts" VALUES(1,1,1,'vm:3845','2026-11-21T20:35:41.477Z','2026-11-21T20:35:41.507Z','done',NULL);
INSERT INTO "attempts" VALUES(2,3,1,'vm:3845','2026-11-21T20:35:41.477Z','2026-11-21T20:35:41.514Z','done',NULL);
INSERT INTO "attempts" VALUES(3,5,1,'vm:3845','2026-11-21T20:35:41.477Z','2026-11-21T20:35:41.514Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(4,7,1,'vm:3845','2026-11-21T20:35:41.477Z','2026-11-21T20:35:41.514Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(5,2,1,'vm:3845','2026-11-21T20:35:41.478Z','2026-11-21T20:35:41.514Z','done',NULL);
INSERT INTO "attempts" VALUES(6,4,1,'vm:3845','2026-11-21T20:35:41.478Z','2026-11-21T20:35:41.514Z','done',NULL);
INSERT INTO "attempts" VALUES(7,6,1,'vm:3845','2026-11-21T20:35:41.478Z','2026-11-21T20:35:41.514Z','dead','ValueError: not now');
INSERT INTO "attempts" VALUES(8,8,1,'vm:3845','2026-11-21T20:35:41.478Z','2026-11-21T20:35:41.514Z','dead','ValueError: not now');
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
        fingerprint TEXT,                       -- of the body, where no event key tells a repetition
        received_at TEXT NOT NULL,
        seen_count INTEGER NOT NULL DEFAULT 1,
        last_seen_at TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "deliveries" VALUES(1,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_1", "x-creativeai-signature": "sha256=6d625efb98003498c03e3bf6c9a5a54b07e653f56d7a46078a79332827184050", "content-length": "309"}',X'7B226964223A20227667656E5F646F6E655F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A33362E3430375A227D',NULL,'2026-11-21T20:35:36.543Z',2,'2026-11-21T20:35:36.657Z');
INSERT INTO "deliveries" VALUES(2,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_2", "x-creativeai-signature": "sha256=f5730c2f6b3d2aa803ae3860fc7bbc10045fd1d94f70e306462d4968a11fe999", "content-length": "309"}',X'7B226964223A20227667656E5F646F6E655F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A33362E3636365A227D',NULL,'2026-11-21T20:35:36.831Z',1,'2026-11-21T20:35:36.831Z');
INSERT INTO "deliveries" VALUES(3,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_1", "x-creativeai-signature": "sha256=da5872e7ac0ad87e3a991b20113ada12be033f8b0fe2fd731905716225ad1d1e", "content-length": "313"}',X'7B226964223A20227667656E5F6661696C65645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A33362E3836365A227D',NULL,'2026-11-21T20:35:36.990Z',1,'2026-11-21T20:35:36.990Z');
INSERT INTO "deliveries" VALUES(4,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_2", "x-creativeai-signature": "sha256=7c7f22d38406d3f71900a9fbbe4cc203c3e4a5c321c600f236d1fa7fb3d4a85d", "content-length": "313"}',X'7B226964223A20227667656E5F6661696C65645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A33362E3939385A227D',NULL,'2026-11-21T20:35:37.072Z',1,'2026-11-21T20:35:37.073Z');
INSERT INTO "deliveries" VALUES(5,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_1", "x-creativeai-signature": "sha256=60f8121e8c2449bbfd77eb47aaa37c9e55c47eaefdc6509350dbd1fb4b15aba3", "content-length": "315"}',X'7B226964223A20227667656E5F72756E6E696E675F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A34362E3638365A227D',NULL,'2026-11-21T20:35:46.789Z',1,'2026-11-21T20:35:46.815Z');
INSERT INTO "deliveries" VALUES(6,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_2", "x-creativeai-signature": "sha256=0da626d6ae7b5437b616460d83b236fbc6626846e3f3a763fd84440db1223f1e", "content-length": "315"}',X'7B226964223A20227667656E5F72756E6E696E675F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A34362E3835335A227D',NULL,'2026-11-21T20:35:46.899Z',1,'2026-11-21T20:35:46.900Z');
INSERT INTO "deliveries" VALUES(7,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_1", "x-creativeai-signature": "sha256=2033965831e5e38247daa63466799d7dda349c607077ef73fd94990b70944301", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A35302E3534345A227D',NULL,'2026-11-21T20:35:50.639Z',1,'2026-11-21T20:35:50.639Z');
INSERT INTO "deliveries" VALUES(8,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_2", "x-creativeai-signature": "sha256=f1780af6b02757c26a05cbd14e10dfc39539ef2b86fe64261a58c9d022b4d801", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A35302E3634335A227D',NULL,'2026-11-21T20:35:50.744Z',1,'2026-11-21T20:35:50.745Z');
INSERT INTO "deliveries" VALUES(9,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_3", "x-creativeai-signature": "sha256=bda66905ca8145df42d9e726baf86ac0a60b3770085802ddd6e15415519dd0d2", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F33222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F332E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A35302E3735365A227D',NULL,'2026-11-21T20:35:50.844Z',1,'2026-11-21T20:35:50.844Z');
INSERT INTO "deliveries" VALUES(10,'hinted','webhook','hint','hint',NULL,'/webhooks/hinted','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_hinted", "x-creativeai-signature": "sha256=c6f594075eedc9af1134e56873def3f22228645d6a50acc595a0d68191a00e26", "content-length": "309"}',X'7B226964223A20227667656E5F68696E746564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F68696E7465642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A35312E3031355A227D','c8db699cf76fb07993551aa914165ca45a6783385b4878cc26d365736c0b3948','2026-11-21T20:35:51.149Z',1,'2026-11-21T20:35:51.149Z');
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
    ;
INSERT INTO "dispatches" VALUES(1,1,'patient',0,'creativeai','vgen_done_1','done','9ccbad6106ad3da92bc98df4273efde1',1,'2026-11-21T20:35:41.507Z',NULL,'vm:3845','2026-11-21T20:35:41.477Z',NULL,NULL,NULL,'2026-11-21T20:35:41.475Z','2026-11-21T20:35:41.507Z');
INSERT INTO "dispatches" VALUES(2,1,'strict',0,'creativeai','vgen_done_1','done','e8e8d2519ce87d24135f446a93cdc00c',1,'2026-11-21T20:35:41.514Z',NULL,'vm:3845','2026-11-21T20:35:41.478Z',NULL,NULL,NULL,'2026-11-21T20:35:41.475Z','2026-11-21T20:35:41.514Z');
INSERT INTO "dispatches" VALUES(3,2,'patient',0,'creativeai','vgen_done_2','done','c1176df914fb4985d53b10f51bd85c37',1,'2026-11-21T20:35:41.514Z',NULL,'vm:3845','2026-11-21T20:35:41.477Z',NULL,NULL,NULL,'2026-11-21T20:35:41.475Z','2026-11-21T20:35:41.514Z');
INSERT INTO "dispatches" VALUES(4,2,'strict',0,'creativeai','vgen_done_2','done','e6f4845a0f7f72f3438fbe8398d225d1',1,'2026-11-21T20:35:41.514Z',NULL,'vm:3845','2026-11-21T20:35:41.478Z',NULL,NULL,NULL,'2026-11-21T20:35:41.475Z','2026-11-21T20:35:41.514Z');
INSERT INTO "dispatches" VALUES(5,3,'patient',0,'creativeai','vgen_failed_1','pending','5a629b614b65c8f7447c338c16e31422',1,'2026-11-21T20:36:45.623Z',NULL,'vm:3845','2026-11-21T20:35:41.477Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:35:41.475Z',NULL);
INSERT INTO "dispatches" VALUES(6,3,'strict',0,'creativeai','vgen_failed_1','dead','33bc257a0e4459a2781c974a0a67f559',1,'2026-11-21T20:35:41.514Z',NULL,'vm:3845','2026-11-21T20:35:41.478Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:35:41.475Z','2026-11-21T20:35:41.514Z');
INSERT INTO "dispatches" VALUES(7,4,'patient',0,'creativeai','vgen_failed_2','pending','cf9fc4ef563978845db36aa96fd4ad1e',1,'2026-11-21T20:36:31.243Z',NULL,'vm:3845','2026-11-21T20:35:41.477Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:35:41.475Z',NULL);
INSERT INTO "dispatches" VALUES(8,4,'strict',0,'creativeai','vgen_failed_2','dead','f6218df5013a1d9093792193d0de74db',1,'2026-11-21T20:35:41.514Z',NULL,'vm:3845','2026-11-21T20:35:41.478Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:35:41.475Z','2026-11-21T20:35:41.514Z');
INSERT INTO "dispatches" VALUES(9,5,'patient',0,'creativeai','vgen_running_1','running','baf3d1b5eed4363db7967ab90788bc1d',1,'2026-11-21T20:35:46.830Z','36b4e6de0521f2cf46ae019ec19db1d2','vm:3845','2026-11-21T20:35:46.850Z','2026-11-21T20:36:46.850Z',NULL,NULL,'2026-11-21T20:35:46.830Z',NULL);
INSERT INTO "dispatches" VALUES(10,5,'strict',0,'creativeai','vgen_running_1','running','be69332f7d617b9ba9760f6c3cb6f1b3',1,'2026-11-21T20:35:46.830Z','f693b279bbdbab7c661d884fe6030bc0','vm:3845','2026-11-21T20:35:46.851Z','2026-11-21T20:36:46.851Z',NULL,NULL,'2026-11-21T20:35:46.830Z',NULL);
INSERT INTO "dispatches" VALUES(11,6,'patient',0,'creativeai','vgen_running_2','running','8914af1ce53082caa5ad78118cc7f97b',1,'2026-11-21T20:35:46.901Z','335b6547322704fee6030ac07ee496ab','vm:3845','2026-11-21T20:35:46.903Z','2026-11-21T20:36:46.903Z',NULL,NULL,'2026-11-21T20:35:46.901Z',NULL);
INSERT INTO "dispatches" VALUES(12,6,'strict',0,'creativeai','vgen_running_2','running','d314b5d445dc33ac386fc94030dc86a8',1,'2026-11-21T20:35:46.901Z','695309f2307110ea887a97963640ce9e','vm:3845','2026-11-21T20:35:46.904Z','2026-11-21T20:36:46.904Z',NULL,NULL,'2026-11-21T20:35:46.901Z',NULL);
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
    ;
INSERT INTO "events" VALUES(1,'creativeai','vgen_done_1:succeeded','video.generation.completed','vgen_done_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:36.407Z"}','2026-11-21T20:35:36.407Z','2026-11-21T20:35:36.546Z','2026-11-21T20:35:36.546Z',NULL,1,'2026-11-21T20:35:41.475Z');
INSERT INTO "events" VALUES(2,'creativeai','vgen_done_2:succeeded','video.generation.completed','vgen_done_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:36.666Z"}','2026-11-21T20:35:36.666Z','2026-11-21T20:35:36.831Z','2026-11-21T20:35:36.831Z',NULL,2,'2026-11-21T20:35:41.475Z');
INSERT INTO "events" VALUES(3,'creativeai','vgen_failed_1:succeeded','video.generation.completed','vgen_failed_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:36.866Z"}','2026-11-21T20:35:36.866Z','2026-11-21T20:35:36.990Z','2026-11-21T20:35:36.990Z',NULL,3,'2026-11-21T20:35:41.475Z');
INSERT INTO "events" VALUES(4,'creativeai','vgen_failed_2:succeeded','video.generation.completed','vgen_failed_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:36.998Z"}','2026-11-21T20:35:36.998Z','2026-11-21T20:35:37.073Z','2026-11-21T20:35:37.073Z',NULL,4,'2026-11-21T20:35:41.475Z');
INSERT INTO "events" VALUES(5,'creativeai','vgen_running_1:succeeded','video.generation.completed','vgen_running_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:46.686Z"}','2026-11-21T20:35:46.686Z','2026-11-21T20:35:46.815Z','2026-11-21T20:35:46.815Z',NULL,5,'2026-11-21T20:35:46.830Z');
INSERT INTO "events" VALUES(6,'creativeai','vgen_running_2:succeeded','video.generation.completed','vgen_running_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:46.853Z"}','2026-11-21T20:35:46.853Z','2026-11-21T20:35:46.900Z','2026-11-21T20:35:46.900Z',NULL,6,'2026-11-21T20:35:46.901Z');
INSERT INTO "events" VALUES(7,'creativeai','vgen_unrouted_1:succeeded','video.generation.completed','vgen_unrouted_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:50.544Z"}','2026-11-21T20:35:50.544Z','2026-11-21T20:35:50.639Z','2026-11-21T20:35:50.639Z',NULL,7,NULL);
INSERT INTO "events" VALUES(8,'creativeai','vgen_unrouted_2:succeeded','video.generation.completed','vgen_unrouted_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:50.643Z"}','2026-11-21T20:35:50.643Z','2026-11-21T20:35:50.745Z','2026-11-21T20:35:50.745Z',NULL,8,NULL);
INSERT INTO "events" VALUES(9,'creativeai','vgen_unrouted_3:succeeded','video.generation.completed','vgen_unrouted_3','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_3", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:50.756Z"}','2026-11-21T20:35:50.756Z','2026-11-21T20:35:50.844Z','2026-11-21T20:35:50.844Z',NULL,9,NULL);
CREATE TABLE handlers (                     -- one row for each that something keeps, or kept
        name TEXT PRIMARY KEY,
        failure_count INTEGER NOT NULL DEFAULT 0,
        park_count INTEGER NOT NULL DEFAULT 0,
        parked_until TEXT,
        limited_until TEXT
    ) STRICT
    ;
INSERT INTO "handlers" VALUES('patient',2,0,NULL,NULL);
INSERT INTO "handlers" VALUES('strict',2,0,NULL,NULL);
CREATE TABLE intents (                      -- create calls of which nobody knows yet what they led to
        id TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        kind TEXT NOT NULL,
        metadata TEXT NOT NULL,
        created_at TEXT NOT NULL,
        error TEXT
    ) STRICT
    ;
CREATE TABLE jobs (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        job_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        status TEXT NOT NULL,
        raw_status TEXT,
        progress REAL,
        metadata TEXT NOT NULL DEFAULT '{}',
        origin TEXT NOT NULL,                   -- track, event or hint: how we first heard of it
        created_at TEXT NOT NULL,
        updated_at TEXT NOT NULL,
        finished_at TEXT,
        deadline_at TEXT NOT NULL,
        next_poll_at TEXT,
        last_poll_at TEXT,
        poll_count INTEGER NOT NULL DEFAULT 0,
        error_count INTEGER NOT NULL DEFAULT 0,
        missing_count INTEGER NOT NULL DEFAULT 0,
        last_error TEXT, step TEXT, reference TEXT, incomplete_count INTEGER NOT NULL DEFAULT 0,
        UNIQUE (source, job_id),
        -- An open job always has a next poll; one that ended has none.
        CHECK ((finished_at IS NULL) = (next_poll_at IS NOT NULL)),
        CHECK ((finished_at IS NULL) = (status IN ('queued', 'running')))
    ) STRICT
    ;
INSERT INTO "jobs" VALUES(1,'creativeai','vgen_done_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:36.546Z','2026-11-21T20:35:36.546Z','2026-11-21T20:35:36.546Z','2026-11-21T20:47:36.546Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(2,'creativeai','vgen_done_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:36.831Z','2026-11-21T20:35:36.831Z','2026-11-21T20:35:36.831Z','2026-11-21T20:47:36.831Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(3,'creativeai','vgen_failed_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:36.990Z','2026-11-21T20:35:36.990Z','2026-11-21T20:35:36.990Z','2026-11-21T20:47:36.990Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(4,'creativeai','vgen_failed_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:37.073Z','2026-11-21T20:35:37.073Z','2026-11-21T20:35:37.073Z','2026-11-21T20:47:37.073Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(5,'creativeai','vgen_running_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:46.815Z','2026-11-21T20:35:46.815Z','2026-11-21T20:35:46.815Z','2026-11-21T20:47:46.815Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(6,'creativeai','vgen_running_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:46.900Z','2026-11-21T20:35:46.900Z','2026-11-21T20:35:46.900Z','2026-11-21T20:47:46.900Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(7,'creativeai','vgen_unrouted_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:50.639Z','2026-11-21T20:35:50.639Z','2026-11-21T20:35:50.639Z','2026-11-21T20:47:50.639Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(8,'creativeai','vgen_unrouted_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:50.745Z','2026-11-21T20:35:50.745Z','2026-11-21T20:35:50.745Z','2026-11-21T20:47:50.745Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(9,'creativeai','vgen_unrouted_3','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:50.844Z','2026-11-21T20:35:50.844Z','2026-11-21T20:35:50.844Z','2026-11-21T20:47:50.844Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(10,'hinted','vgen_hinted','video','queued',NULL,NULL,'{}','hint','2026-11-21T20:35:51.149Z','2026-11-21T20:35:51.149Z',NULL,'2026-11-21T20:47:51.149Z','2026-11-21T20:35:51.149Z',NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(11,'creativeai','vgen_open_1','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:35:53.875Z','2026-11-21T20:35:53.875Z',NULL,'2026-11-21T20:47:53.875Z','2026-11-21T20:36:03.875Z',NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(12,'creativeai','vgen_open_2','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:35:57.448Z','2026-11-21T20:35:57.448Z',NULL,'2026-11-21T20:47:57.448Z','2026-11-21T20:36:07.448Z',NULL,0,0,0,NULL,NULL,NULL,0);
CREATE TABLE limits (                       -- what a provider said of its request budget
        source TEXT PRIMARY KEY,
        count INTEGER,
        remaining INTEGER,
        resets_at TEXT,
        paused_until TEXT
    ) STRICT
    ;
CREATE TABLE proofs (id INTEGER PRIMARY KEY, proved_at TEXT NOT NULL) STRICT;
INSERT INTO "proofs" VALUES(1,'2026-11-21T20:35:36.374Z');
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
    ;
INSERT INTO "quarantine" VALUES(1,'creativeai','signature_mismatch','no configured secret makes this signature over the bytes received','/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_refused", "x-creativeai-signature": "sha256=a96339e1995e8fdd45c9da0b316c69e4c970ef9611c45c182bf3d832b99ad9fe", "content-length": "311"}',X'7B226964223A20227667656E5F72656675736564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F726566757365642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A35302E3836385A227D','2026-11-21T20:35:51.011Z');
CREATE TABLE requests (                     -- one row for each request spent, as long as its span lasts
        source TEXT NOT NULL,
        sent_at TEXT NOT NULL
    ) STRICT
    ;
CREATE TABLE starts (                       -- one row for each attempt that a limit counts, as long as it does
        handler TEXT NOT NULL,
        started_at TEXT NOT NULL
    ) STRICT
    ;
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX jobs_due ON jobs (source, next_poll_at) WHERE next_poll_at IS NOT NULL;
CREATE INDEX jobs_hinted ON jobs (source) WHERE origin = 'hint' AND finished_at IS NULL;
CREATE UNIQUE INDEX deliveries_fingerprint ON deliveries (source, fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX deliveries_hints ON deliveries (source, id) WHERE trust = 'hint';
CREATE INDEX events_unrouted ON events (id) WHERE routed_at IS NULL;
CREATE INDEX dispatches_due ON dispatches (handler, due_at) WHERE state = 'pending';
CREATE INDEX dispatches_leased ON dispatches (leased_until) WHERE state = 'running';
CREATE INDEX dispatches_unfinished ON dispatches (source, job_id, handler, id)
    WHERE state IN ('pending', 'running')
    ;
CREATE INDEX attempts_dispatch ON attempts (dispatch_id, id);
CREATE INDEX quarantine_source ON quarantine (source, id);
CREATE INDEX requests_sent ON requests (source, sent_at);
CREATE INDEX starts_handler ON starts (handler, started_at);
COMMIT;
