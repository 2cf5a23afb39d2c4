BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'receiver','create_tables','2026-11-21 20:34:36.060165+00:00');
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
INSERT INTO "attempts" VALUES(1,1,1,'vm:632','2026-11-21T20:34:43.539Z','2026-11-21T20:34:43.577Z','done',NULL);
INSERT INTO "attempts" VALUES(2,3,1,'vm:632','2026-11-21T20:34:43.539Z','2026-11-21T20:34:43.591Z','done',NULL);
INSERT INTO "attempts" VALUES(3,5,1,'vm:632','2026-11-21T20:34:43.539Z','2026-11-21T20:34:43.591Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(4,7,1,'vm:632','2026-11-21T20:34:43.539Z','2026-11-21T20:34:43.591Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(5,2,1,'vm:632','2026-11-21T20:34:43.540Z','2026-11-21T20:34:43.591Z','done',NULL);
INSERT INTO "attempts" VALUES(6,4,1,'vm:632','2026-11-21T20:34:43.540Z','2026-11-21T20:34:43.591Z','done',NULL);
INSERT INTO "attempts" VALUES(7,6,1,'vm:632','2026-11-21T20:34:43.540Z','2026-11-21T20:34:43.591Z','dead','ValueError: not now');
INSERT INTO "attempts" VALUES(8,8,1,'vm:632','2026-11-21T20:34:43.540Z','2026-11-21T20:34:43.591Z','dead','ValueError: not now');
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
INSERT INTO "deliveries" VALUES(1,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_1", "x-creativeai-signature": "sha256=d26771a21dced0f4670c4751b5168927baae75a4f8cdc078bae90a798b74242f", "content-length": "217"}',X'7B226964223A20227667656E5F646F6E655F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F312E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A33392E3137325A227D',NULL,'2026-11-21T20:34:39.227Z',2,'2026-11-21T20:34:39.317Z');
INSERT INTO "deliveries" VALUES(2,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_2", "x-creativeai-signature": "sha256=ffd65e60ca87bdfcd0dfa8f111e0b9cf3969c01ad45968c408d9c605c856a94f", "content-length": "217"}',X'7B226964223A20227667656E5F646F6E655F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F322E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A33392E3332325A227D',NULL,'2026-11-21T20:34:39.356Z',1,'2026-11-21T20:34:39.357Z');
INSERT INTO "deliveries" VALUES(3,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_1", "x-creativeai-signature": "sha256=9ed260ab8df78cc5560f21a9bb386bae78c2594a0d18356ea141a65860802330", "content-length": "221"}',X'7B226964223A20227667656E5F6661696C65645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F312E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A33392E3339315A227D',NULL,'2026-11-21T20:34:39.522Z',1,'2026-11-21T20:34:39.522Z');
INSERT INTO "deliveries" VALUES(4,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_2", "x-creativeai-signature": "sha256=0ba7ac90dc02e275fda291898312418f077c1aebf542c5205c1e7771d45fb589", "content-length": "221"}',X'7B226964223A20227667656E5F6661696C65645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F322E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A33392E3533315A227D',NULL,'2026-11-21T20:34:39.624Z',1,'2026-11-21T20:34:39.624Z');
INSERT INTO "deliveries" VALUES(5,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_1", "x-creativeai-signature": "sha256=b1b26b07b2e930203bed52a282532c908c1f782a68a50dbdf9c7a509afba5d9a", "content-length": "223"}',X'7B226964223A20227667656E5F72756E6E696E675F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F312E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A34392E3537335A227D',NULL,'2026-11-21T20:34:49.683Z',1,'2026-11-21T20:34:49.684Z');
INSERT INTO "deliveries" VALUES(6,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_2", "x-creativeai-signature": "sha256=81424ca46ee5a699b9d0c51cfba64dafbac9d50afa072243fa7dc6cf0e414bbd", "content-length": "223"}',X'7B226964223A20227667656E5F72756E6E696E675F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F322E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A34392E3639385A227D',NULL,'2026-11-21T20:34:49.730Z',1,'2026-11-21T20:34:49.730Z');
INSERT INTO "deliveries" VALUES(7,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_1", "x-creativeai-signature": "sha256=f956c12abf29406c49b81aaa7bd8f4869626927521cce169ee5b685c4e0044d6", "content-length": "225"}',X'7B226964223A20227667656E5F756E726F757465645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F312E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A35312E3731355A227D',NULL,'2026-11-21T20:34:51.775Z',1,'2026-11-21T20:34:51.776Z');
INSERT INTO "deliveries" VALUES(8,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_2", "x-creativeai-signature": "sha256=fed4e96e80a541972e41d5b9f3ad5b6702eac03842a3832084f173fa2c23b359", "content-length": "225"}',X'7B226964223A20227667656E5F756E726F757465645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F322E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A35312E3738395A227D',NULL,'2026-11-21T20:34:51.900Z',1,'2026-11-21T20:34:51.900Z');
INSERT INTO "deliveries" VALUES(9,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_3", "x-creativeai-signature": "sha256=9a3dc873c4110b52c4ddd5086396ad6fa528c613e84d9ff3607fd76640851c94", "content-length": "225"}',X'7B226964223A20227667656E5F756E726F757465645F33222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F332E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A35312E3930385A227D',NULL,'2026-11-21T20:34:51.984Z',1,'2026-11-21T20:34:51.984Z');
INSERT INTO "deliveries" VALUES(10,'hinted','webhook','hint','hint',NULL,'/webhooks/hinted','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_hinted", "x-creativeai-signature": "sha256=cb47b4f0acd644fd5c0066d72a70a936352f271a640915e0f3f1b5e71241400b", "content-length": "217"}',X'7B226964223A20227667656E5F68696E746564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F68696E7465642E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A35322E3038365A227D','800a914c0e70ff85728c91e2f7cf2b5fcd8bc323b4642c2b393f8186155fa10a','2026-11-21T20:34:52.211Z',1,'2026-11-21T20:34:52.211Z');
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
INSERT INTO "dispatches" VALUES(1,1,'patient',0,'creativeai','vgen_done_1','done','131b601ca50c2057dc0f063519d98cc1',1,'2026-11-21T20:34:43.577Z',NULL,'vm:632','2026-11-21T20:34:43.539Z',NULL,NULL,NULL,'2026-11-21T20:34:43.529Z','2026-11-21T20:34:43.577Z');
INSERT INTO "dispatches" VALUES(2,1,'strict',0,'creativeai','vgen_done_1','done','5169dfe60f72fe8de2f1e232c0ce1777',1,'2026-11-21T20:34:43.591Z',NULL,'vm:632','2026-11-21T20:34:43.540Z',NULL,NULL,NULL,'2026-11-21T20:34:43.529Z','2026-11-21T20:34:43.591Z');
INSERT INTO "dispatches" VALUES(3,2,'patient',0,'creativeai','vgen_done_2','done','4cd3cba9d4ec346a53a642047aa291f2',1,'2026-11-21T20:34:43.591Z',NULL,'vm:632','2026-11-21T20:34:43.539Z',NULL,NULL,NULL,'2026-11-21T20:34:43.529Z','2026-11-21T20:34:43.591Z');
INSERT INTO "dispatches" VALUES(4,2,'strict',0,'creativeai','vgen_done_2','done','c547222c179482938f9e6f5de7cb95ce',1,'2026-11-21T20:34:43.591Z',NULL,'vm:632','2026-11-21T20:34:43.540Z',NULL,NULL,NULL,'2026-11-21T20:34:43.529Z','2026-11-21T20:34:43.591Z');
INSERT INTO "dispatches" VALUES(5,3,'patient',0,'creativeai','vgen_failed_1','pending','1215eb1e89f0e6040d7a14cf6d7b22c3',1,'2026-11-21T20:35:41.374Z',NULL,'vm:632','2026-11-21T20:34:43.539Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:34:43.529Z',NULL);
INSERT INTO "dispatches" VALUES(6,3,'strict',0,'creativeai','vgen_failed_1','dead','ca23c5c1af26ac8e980f1d3a96629b32',1,'2026-11-21T20:34:43.591Z',NULL,'vm:632','2026-11-21T20:34:43.540Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:34:43.529Z','2026-11-21T20:34:43.591Z');
INSERT INTO "dispatches" VALUES(7,4,'patient',0,'creativeai','vgen_failed_2','pending','c2a5aedd670ef0c2073ccd57b52cef5e',1,'2026-11-21T20:35:45.556Z',NULL,'vm:632','2026-11-21T20:34:43.539Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:34:43.529Z',NULL);
INSERT INTO "dispatches" VALUES(8,4,'strict',0,'creativeai','vgen_failed_2','dead','8ff02b0d2e80fef5e4696675b4e9b0d7',1,'2026-11-21T20:34:43.591Z',NULL,'vm:632','2026-11-21T20:34:43.540Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:34:43.529Z','2026-11-21T20:34:43.591Z');
INSERT INTO "dispatches" VALUES(9,5,'patient',0,'creativeai','vgen_running_1','running','b5a7f7b27f06429b558d54f793bcc072',1,'2026-11-21T20:34:49.687Z','4f6ad62638e8a6c25f1d9fbb0b689c85','vm:632','2026-11-21T20:34:49.693Z','2026-11-21T20:35:49.693Z',NULL,NULL,'2026-11-21T20:34:49.687Z',NULL);
INSERT INTO "dispatches" VALUES(10,5,'strict',0,'creativeai','vgen_running_1','running','b1755df7c060f41c2830a7a61663ce2e',1,'2026-11-21T20:34:49.687Z','7770493bdcb05c3dac468ef330f7d017','vm:632','2026-11-21T20:34:49.693Z','2026-11-21T20:35:49.693Z',NULL,NULL,'2026-11-21T20:34:49.687Z',NULL);
INSERT INTO "dispatches" VALUES(11,6,'patient',0,'creativeai','vgen_running_2','running','3da364c0f01d1f813d4e831d6f039d45',1,'2026-11-21T20:34:49.732Z','3f9e143eff17cfadf1f14ca3968e3bda','vm:632','2026-11-21T20:34:49.732Z','2026-11-21T20:35:49.732Z',NULL,NULL,'2026-11-21T20:34:49.732Z',NULL);
INSERT INTO "dispatches" VALUES(12,6,'strict',0,'creativeai','vgen_running_2','running','24191e18abb4eb15f1578f6e3046a88c',1,'2026-11-21T20:34:49.732Z','edfff9e13bc9ae3e7adb24470d73bf70','vm:632','2026-11-21T20:34:49.733Z','2026-11-21T20:35:49.733Z',NULL,NULL,'2026-11-21T20:34:49.732Z',NULL);
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
INSERT INTO "events" VALUES(1,'creativeai','vgen_done_1:succeeded','video.generation.completed','vgen_done_1','video','succeeded','completed','current','signed','webhook','["https://cdn.creativeai.run/output/vgen_done_1.mp4"]',NULL,'{"id": "vgen_done_1", "object": "video.generation", "status": "completed", "model": "auto", "output_url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "credits": 30, "completed_at": "2026-11-21T20:34:39.172Z"}','2026-11-21T20:34:39.172Z','2026-11-21T20:34:39.228Z','2026-11-21T20:34:39.228Z',NULL,1,'2026-11-21T20:34:43.529Z');
INSERT INTO "events" VALUES(2,'creativeai','vgen_done_2:succeeded','video.generation.completed','vgen_done_2','video','succeeded','completed','current','signed','webhook','["https://cdn.creativeai.run/output/vgen_done_2.mp4"]',NULL,'{"id": "vgen_done_2", "object": "video.generation", "status": "completed", "model": "auto", "output_url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "credits": 30, "completed_at": "2026-11-21T20:34:39.322Z"}','2026-11-21T20:34:39.322Z','2026-11-21T20:34:39.357Z','2026-11-21T20:34:39.357Z',NULL,2,'2026-11-21T20:34:43.529Z');
INSERT INTO "events" VALUES(3,'creativeai','vgen_failed_1:succeeded','video.generation.completed','vgen_failed_1','video','succeeded','completed','current','signed','webhook','["https://cdn.creativeai.run/output/vgen_failed_1.mp4"]',NULL,'{"id": "vgen_failed_1", "object": "video.generation", "status": "completed", "model": "auto", "output_url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "credits": 30, "completed_at": "2026-11-21T20:34:39.391Z"}','2026-11-21T20:34:39.391Z','2026-11-21T20:34:39.522Z','2026-11-21T20:34:39.522Z',NULL,3,'2026-11-21T20:34:43.529Z');
INSERT INTO "events" VALUES(4,'creativeai','vgen_failed_2:succeeded','video.generation.completed','vgen_failed_2','video','succeeded','completed','current','signed','webhook','["https://cdn.creativeai.run/output/vgen_failed_2.mp4"]',NULL,'{"id": "vgen_failed_2", "object": "video.generation", "status": "completed", "model": "auto", "output_url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "credits": 30, "completed_at": "2026-11-21T20:34:39.531Z"}','2026-11-21T20:34:39.531Z','2026-11-21T20:34:39.624Z','2026-11-21T20:34:39.624Z',NULL,4,'2026-11-21T20:34:43.529Z');
INSERT INTO "events" VALUES(5,'creativeai','vgen_running_1:succeeded','video.generation.completed','vgen_running_1','video','succeeded','completed','current','signed','webhook','["https://cdn.creativeai.run/output/vgen_running_1.mp4"]',NULL,'{"id": "vgen_running_1", "object": "video.generation", "status": "completed", "model": "auto", "output_url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "credits": 30, "completed_at": "2026-11-21T20:34:49.573Z"}','2026-11-21T20:34:49.573Z','2026-11-21T20:34:49.684Z','2026-11-21T20:34:49.684Z',NULL,5,'2026-11-21T20:34:49.687Z');
INSERT INTO "events" VALUES(6,'creativeai','vgen_running_2:succeeded','video.generation.completed','vgen_running_2','video','succeeded','completed','current','signed','webhook','["https://cdn.creativeai.run/output/vgen_running_2.mp4"]',NULL,'{"id": "vgen_running_2", "object": "video.generation", "status": "completed", "model": "auto", "output_url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "credits": 30, "completed_at": "2026-11-21T20:34:49.698Z"}','2026-11-21T20:34:49.698Z','2026-11-21T20:34:49.730Z','2026-11-21T20:34:49.730Z',NULL,6,'2026-11-21T20:34:49.732Z');
INSERT INTO "events" VALUES(7,'creativeai','vgen_unrouted_1:succeeded','video.generation.completed','vgen_unrouted_1','video','succeeded','completed','current','signed','webhook','["https://cdn.creativeai.run/output/vgen_unrouted_1.mp4"]',NULL,'{"id": "vgen_unrouted_1", "object": "video.generation", "status": "completed", "model": "auto", "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "credits": 30, "completed_at": "2026-11-21T20:34:51.715Z"}','2026-11-21T20:34:51.715Z','2026-11-21T20:34:51.776Z','2026-11-21T20:34:51.776Z',NULL,7,NULL);
INSERT INTO "events" VALUES(8,'creativeai','vgen_unrouted_2:succeeded','video.generation.completed','vgen_unrouted_2','video','succeeded','completed','current','signed','webhook','["https://cdn.creativeai.run/output/vgen_unrouted_2.mp4"]',NULL,'{"id": "vgen_unrouted_2", "object": "video.generation", "status": "completed", "model": "auto", "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "credits": 30, "completed_at": "2026-11-21T20:34:51.789Z"}','2026-11-21T20:34:51.789Z','2026-11-21T20:34:51.900Z','2026-11-21T20:34:51.900Z',NULL,8,NULL);
INSERT INTO "events" VALUES(9,'creativeai','vgen_unrouted_3:succeeded','video.generation.completed','vgen_unrouted_3','video','succeeded','completed','current','signed','webhook','["https://cdn.creativeai.run/output/vgen_unrouted_3.mp4"]',NULL,'{"id": "vgen_unrouted_3", "object": "video.generation", "status": "completed", "model": "auto", "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "credits": 30, "completed_at": "2026-11-21T20:34:51.908Z"}','2026-11-21T20:34:51.908Z','2026-11-21T20:34:51.984Z','2026-11-21T20:34:51.984Z',NULL,9,NULL);
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
        last_error TEXT,
        UNIQUE (source, job_id),
        -- An open job always has a next poll; one that ended has none.
        CHECK ((finished_at IS NULL) = (next_poll_at IS NOT NULL)),
        CHECK ((finished_at IS NULL) = (status IN ('queued', 'running')))
    ) STRICT
    ;
INSERT INTO "jobs" VALUES(1,'creativeai','vgen_done_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:34:39.228Z','2026-11-21T20:34:39.228Z','2026-11-21T20:34:39.228Z','2026-11-21T20:46:39.228Z',NULL,NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(2,'creativeai','vgen_done_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:34:39.357Z','2026-11-21T20:34:39.357Z','2026-11-21T20:34:39.357Z','2026-11-21T20:46:39.357Z',NULL,NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(3,'creativeai','vgen_failed_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:34:39.522Z','2026-11-21T20:34:39.522Z','2026-11-21T20:34:39.522Z','2026-11-21T20:46:39.522Z',NULL,NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(4,'creativeai','vgen_failed_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:34:39.624Z','2026-11-21T20:34:39.624Z','2026-11-21T20:34:39.624Z','2026-11-21T20:46:39.624Z',NULL,NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(5,'creativeai','vgen_running_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:34:49.684Z','2026-11-21T20:34:49.684Z','2026-11-21T20:34:49.684Z','2026-11-21T20:46:49.684Z',NULL,NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(6,'creativeai','vgen_running_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:34:49.730Z','2026-11-21T20:34:49.730Z','2026-11-21T20:34:49.730Z','2026-11-21T20:46:49.730Z',NULL,NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(7,'creativeai','vgen_unrouted_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:34:51.776Z','2026-11-21T20:34:51.776Z','2026-11-21T20:34:51.776Z','2026-11-21T20:46:51.776Z',NULL,NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(8,'creativeai','vgen_unrouted_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:34:51.900Z','2026-11-21T20:34:51.900Z','2026-11-21T20:34:51.900Z','2026-11-21T20:46:51.900Z',NULL,NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(9,'creativeai','vgen_unrouted_3','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:34:51.984Z','2026-11-21T20:34:51.984Z','2026-11-21T20:34:51.984Z','2026-11-21T20:46:51.984Z',NULL,NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(10,'hinted','vgen_hinted','video','queued',NULL,NULL,'{}','hint','2026-11-21T20:34:52.211Z','2026-11-21T20:34:52.211Z',NULL,'2026-11-21T20:46:52.211Z','2026-11-21T20:34:52.211Z',NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(11,'creativeai','vgen_open_1','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:34:54.083Z','2026-11-21T20:34:54.083Z',NULL,'2026-11-21T20:46:54.083Z','2026-11-21T20:35:04.083Z',NULL,0,0,0,NULL);
INSERT INTO "jobs" VALUES(12,'creativeai','vgen_open_2','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:34:56.287Z','2026-11-21T20:34:56.287Z',NULL,'2026-11-21T20:46:56.287Z','2026-11-21T20:35:06.287Z',NULL,0,0,0,NULL);
CREATE TABLE limits (                       -- what a provider said of its request budget
        source TEXT PRIMARY KEY,
        count INTEGER,
        remaining INTEGER,
        resets_at TEXT,
        paused_until TEXT
    ) STRICT
    ;
CREATE TABLE proofs (id INTEGER PRIMARY KEY, proved_at TEXT NOT NULL) STRICT;
INSERT INTO "proofs" VALUES(1,'2026-11-21T20:34:39.157Z');
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
INSERT INTO "quarantine" VALUES(1,'creativeai','signature_mismatch','no configured secret makes this signature over the bytes received','/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_refused", "x-creativeai-signature": "sha256=51ece957fc378d4d5d87fde4185ade5b368aae711ae6ca77522f514fb0515ac4", "content-length": "219"}',X'7B226964223A20227667656E5F72656675736564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F726566757365642E6D7034222C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33343A35322E3030355A227D','2026-11-21T20:34:52.084Z');
CREATE TABLE requests (                     -- one row for each request spent, as long as its span lasts
        source TEXT NOT NULL,
        sent_at TEXT NOT NULL
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
COMMIT;
