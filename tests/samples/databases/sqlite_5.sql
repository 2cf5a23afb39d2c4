BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'receiver','create_tables','2026-11-21 20:36:44.320270+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'receiver','submit_and_follow','2026-11-21 20:36:44.320963+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'receiver','hold_handlers','2026-11-21 20:36:44.321180+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'receiver','rank_replays','2026-11-21 20:36:44.321647+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'receiver','keep_keys','2026-11-21 20:36:44.321771+00:00');
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
INSERT INTO "attempts" VALUES(1,1,1,'vm:8035','2026-11-21T20:36:56.752Z','2026-11-21T20:36:56.770Z','done',NULL);
INSERT INTO "attempts" VALUES(2,3,1,'vm:8035','2026-11-21T20:36:56.752Z','2026-11-21T20:36:56.773Z','done',NULL);
INSERT INTO "attempts" VALUES(3,5,1,'vm:8035','2026-11-21T20:36:56.752Z','2026-11-21T20:36:56.773Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(4,7,1,'vm:8035','2026-11-21T20:36:56.752Z','2026-11-21T20:36:56.774Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(5,2,1,'vm:8035','2026-11-21T20:36:56.753Z','2026-11-21T20:36:56.774Z','done',NULL);
INSERT INTO "attempts" VALUES(6,4,1,'vm:8035','2026-11-21T20:36:56.753Z','2026-11-21T20:36:56.774Z','done',NULL);
INSERT INTO "attempts" VALUES(7,6,1,'vm:8035','2026-11-21T20:36:56.753Z','2026-11-21T20:36:56.774Z','dead','ValueError: not now');
INSERT INTO "attempts" VALUES(8,8,1,'vm:8035','2026-11-21T20:36:56.753Z','2026-11-21T20:36:56.774Z','dead','ValueError: not now');
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
INSERT INTO "deliveries" VALUES(1,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_1", "x-creativeai-signature": "sha256=58f839b38ef37229daa10ac91df58404210c87d35ebe8d9031dbfe3f321e653b", "content-length": "309"}',X'7B226964223A20227667656E5F646F6E655F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A35302E3334345A227D',NULL,'2026-11-21T20:36:50.468Z',2,'2026-11-21T20:36:50.675Z');
INSERT INTO "deliveries" VALUES(2,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_2", "x-creativeai-signature": "sha256=592c35b8af83a0ad329b9de49a41c43a76ea00b272a61c41115adac658f1ee9b", "content-length": "309"}',X'7B226964223A20227667656E5F646F6E655F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A35302E3639395A227D',NULL,'2026-11-21T20:36:50.879Z',1,'2026-11-21T20:36:50.879Z');
INSERT INTO "deliveries" VALUES(3,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_1", "x-creativeai-signature": "sha256=769d296523edfd0958f153267a617fef59519169cf1d0003566e082ac7888200", "content-length": "313"}',X'7B226964223A20227667656E5F6661696C65645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A35302E3838325A227D',NULL,'2026-11-21T20:36:50.990Z',1,'2026-11-21T20:36:50.991Z');
INSERT INTO "deliveries" VALUES(4,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_2", "x-creativeai-signature": "sha256=e27d8df77b9cb4779741d5716bee10bfeeb3e7e4f19c51d8ffc226f07c98903f", "content-length": "313"}',X'7B226964223A20227667656E5F6661696C65645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A35312E3030305A227D',NULL,'2026-11-21T20:36:51.114Z',1,'2026-11-21T20:36:51.114Z');
INSERT INTO "deliveries" VALUES(5,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_1", "x-creativeai-signature": "sha256=beaebafd83259f0dad4aca22fe4785522e3cd224a7da9775381d6c71c53f661d", "content-length": "315"}',X'7B226964223A20227667656E5F72756E6E696E675F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33373A30342E3638335A227D',NULL,'2026-11-21T20:37:04.760Z',1,'2026-11-21T20:37:04.762Z');
INSERT INTO "deliveries" VALUES(6,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_2", "x-creativeai-signature": "sha256=010a9b0dbf50453329efaf862a69eb0d81d449afc25e2f7836d76806264e0812", "content-length": "315"}',X'7B226964223A20227667656E5F72756E6E696E675F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33373A30342E3738315A227D',NULL,'2026-11-21T20:37:04.830Z',1,'2026-11-21T20:37:04.832Z');
INSERT INTO "deliveries" VALUES(7,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_1", "x-creativeai-signature": "sha256=5e9573136ae0df8318d0dacecabceca8fb63da54e09f694f3f2de19fe4f3d09b", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33373A30372E3235385A227D',NULL,'2026-11-21T20:37:07.309Z',1,'2026-11-21T20:37:07.309Z');
INSERT INTO "deliveries" VALUES(8,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_2", "x-creativeai-signature": "sha256=6b6f13ec253ad9426fd0ace62fe168f26c5b9a005050855d047933c37f18bb6a", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33373A30372E3332335A227D',NULL,'2026-11-21T20:37:07.370Z',1,'2026-11-21T20:37:07.370Z');
INSERT INTO "deliveries" VALUES(9,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_3", "x-creativeai-signature": "sha256=ea76408a79987de309abdb9a6e89c6583faf63aa8fb7a68a8cd699965609a359", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F33222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F332E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33373A30372E3339355A227D',NULL,'2026-11-21T20:37:07.503Z',1,'2026-11-21T20:37:07.503Z');
INSERT INTO "deliveries" VALUES(10,'hinted','webhook','hint','hint',NULL,'/webhooks/hinted','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_hinted", "x-creativeai-signature": "sha256=72f2447248b5765439ab37790003099d5007eec3b74a9ac5a1643c78f82a1ee4", "content-length": "309"}',X'7B226964223A20227667656E5F68696E746564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F68696E7465642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33373A30372E3631345A227D','7faeb56da4a412151c658c3faa6c82df1aef88197aa83f59cf5757e2ac4468ae','2026-11-21T20:37:07.703Z',1,'2026-11-21T20:37:07.703Z');
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
        finished_at TEXT, replay_id TEXT, rank INTEGER NOT NULL DEFAULT 0,
        UNIQUE (event_id, handler, replay),
        CHECK ((state = 'running') = (token IS NOT NULL)),
        CHECK ((state = 'running') = (leased_until IS NOT NULL))
    ) STRICT
    ;
INSERT INTO "dispatches" VALUES(1,1,'patient',0,'creativeai','vgen_done_1','done','df73b862265064c7ce0f069bf12d5b35',1,'2026-11-21T20:36:56.770Z',NULL,'vm:8035','2026-11-21T20:36:56.752Z',NULL,NULL,NULL,'2026-11-21T20:36:56.713Z','2026-11-21T20:36:56.770Z',NULL,0);
INSERT INTO "dispatches" VALUES(2,1,'strict',0,'creativeai','vgen_done_1','done','11d8e6c5f0e201e40d93ff5e379f872c',1,'2026-11-21T20:36:56.774Z',NULL,'vm:8035','2026-11-21T20:36:56.753Z',NULL,NULL,NULL,'2026-11-21T20:36:56.713Z','2026-11-21T20:36:56.774Z',NULL,0);
INSERT INTO "dispatches" VALUES(3,2,'patient',0,'creativeai','vgen_done_2','done','b3e9b1406ec7cf212b07122d0d7836ab',1,'2026-11-21T20:36:56.773Z',NULL,'vm:8035','2026-11-21T20:36:56.752Z',NULL,NULL,NULL,'2026-11-21T20:36:56.713Z','2026-11-21T20:36:56.773Z',NULL,0);
INSERT INTO "dispatches" VALUES(4,2,'strict',0,'creativeai','vgen_done_2','done','38521bba91ed04a07c16877b3456d144',1,'2026-11-21T20:36:56.774Z',NULL,'vm:8035','2026-11-21T20:36:56.753Z',NULL,NULL,NULL,'2026-11-21T20:36:56.713Z','2026-11-21T20:36:56.774Z',NULL,0);
INSERT INTO "dispatches" VALUES(5,3,'patient',0,'creativeai','vgen_failed_1','pending','6fe373fea9c48f6fb0b17432cbe734b4',1,'2026-11-21T20:37:56.210Z',NULL,'vm:8035','2026-11-21T20:36:56.752Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:36:56.713Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(6,3,'strict',0,'creativeai','vgen_failed_1','dead','f85375cc1faef027f300d5e1e28ddc3f',1,'2026-11-21T20:36:56.774Z',NULL,'vm:8035','2026-11-21T20:36:56.753Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:36:56.713Z','2026-11-21T20:36:56.774Z',NULL,0);
INSERT INTO "dispatches" VALUES(7,4,'patient',0,'creativeai','vgen_failed_2','pending','faaba7b503e48bd55da0ad85068478e2',1,'2026-11-21T20:37:47.023Z',NULL,'vm:8035','2026-11-21T20:36:56.752Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:36:56.713Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(8,4,'strict',0,'creativeai','vgen_failed_2','dead','d21f698503531dba5d2c46a732a3a67f',1,'2026-11-21T20:36:56.774Z',NULL,'vm:8035','2026-11-21T20:36:56.753Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:36:56.713Z','2026-11-21T20:36:56.774Z',NULL,0);
INSERT INTO "dispatches" VALUES(9,5,'patient',0,'creativeai','vgen_running_1','running','09036ed6c8fb110d38b587706f0e53c2',1,'2026-11-21T20:37:04.780Z','e6085c4341d840c727cef641dc41bb8a','vm:8035','2026-11-21T20:37:04.782Z','2026-11-21T20:38:04.782Z',NULL,NULL,'2026-11-21T20:37:04.780Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(10,5,'strict',0,'creativeai','vgen_running_1','running','0b01a53db213710a74216c7201cf8f86',1,'2026-11-21T20:37:04.780Z','b30c2f1920b38a8a6103b67f6c5ae77f','vm:8035','2026-11-21T20:37:04.783Z','2026-11-21T20:38:04.783Z',NULL,NULL,'2026-11-21T20:37:04.780Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(11,6,'patient',0,'creativeai','vgen_running_2','running','ccd1deb900a90abd11abb433d0cf2a22',1,'2026-11-21T20:37:04.842Z','ea95440fe232a2d778ff7ca831038f55','vm:8035','2026-11-21T20:37:04.843Z','2026-11-21T20:38:04.843Z',NULL,NULL,'2026-11-21T20:37:04.842Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(12,6,'strict',0,'creativeai','vgen_running_2','running','a3740a7e0302f362a24154dcc0fdc6b9',1,'2026-11-21T20:37:04.842Z','dde4fc5e5414a4ea84f86e9800926e47','vm:8035','2026-11-21T20:37:04.843Z','2026-11-21T20:38:04.843Z',NULL,NULL,'2026-11-21T20:37:04.842Z',NULL,NULL,0);
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
INSERT INTO "events" VALUES(1,'creativeai','vgen_done_1:succeeded','video.generation.completed','vgen_done_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:50.344Z"}','2026-11-21T20:36:50.344Z','2026-11-21T20:36:50.468Z','2026-11-21T20:36:50.468Z',NULL,1,'2026-11-21T20:36:56.713Z');
INSERT INTO "events" VALUES(2,'creativeai','vgen_done_2:succeeded','video.generation.completed','vgen_done_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:50.699Z"}','2026-11-21T20:36:50.699Z','2026-11-21T20:36:50.879Z','2026-11-21T20:36:50.879Z',NULL,2,'2026-11-21T20:36:56.713Z');
INSERT INTO "events" VALUES(3,'creativeai','vgen_failed_1:succeeded','video.generation.completed','vgen_failed_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:50.882Z"}','2026-11-21T20:36:50.882Z','2026-11-21T20:36:50.991Z','2026-11-21T20:36:50.991Z',NULL,3,'2026-11-21T20:36:56.713Z');
INSERT INTO "events" VALUES(4,'creativeai','vgen_failed_2:succeeded','video.generation.completed','vgen_failed_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:51.000Z"}','2026-11-21T20:36:51.000Z','2026-11-21T20:36:51.114Z','2026-11-21T20:36:51.114Z',NULL,4,'2026-11-21T20:36:56.713Z');
INSERT INTO "events" VALUES(5,'creativeai','vgen_running_1:succeeded','video.generation.completed','vgen_running_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:37:04.683Z"}','2026-11-21T20:37:04.683Z','2026-11-21T20:37:04.762Z','2026-11-21T20:37:04.762Z',NULL,5,'2026-11-21T20:37:04.780Z');
INSERT INTO "events" VALUES(6,'creativeai','vgen_running_2:succeeded','video.generation.completed','vgen_running_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:37:04.781Z"}','2026-11-21T20:37:04.781Z','2026-11-21T20:37:04.832Z','2026-11-21T20:37:04.832Z',NULL,6,'2026-11-21T20:37:04.842Z');
INSERT INTO "events" VALUES(7,'creativeai','vgen_unrouted_1:succeeded','video.generation.completed','vgen_unrouted_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:37:07.258Z"}','2026-11-21T20:37:07.258Z','2026-11-21T20:37:07.309Z','2026-11-21T20:37:07.309Z',NULL,7,NULL);
INSERT INTO "events" VALUES(8,'creativeai','vgen_unrouted_2:succeeded','video.generation.completed','vgen_unrouted_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:37:07.323Z"}','2026-11-21T20:37:07.323Z','2026-11-21T20:37:07.370Z','2026-11-21T20:37:07.370Z',NULL,8,NULL);
INSERT INTO "events" VALUES(9,'creativeai','vgen_unrouted_3:succeeded','video.generation.completed','vgen_unrouted_3','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_3", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:37:07.395Z"}','2026-11-21T20:37:07.395Z','2026-11-21T20:37:07.503Z','2026-11-21T20:37:07.503Z',NULL,9,NULL);
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
INSERT INTO "jobs" VALUES(1,'creativeai','vgen_done_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:50.468Z','2026-11-21T20:36:50.468Z','2026-11-21T20:36:50.468Z','2026-11-21T20:48:50.468Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(2,'creativeai','vgen_done_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:50.879Z','2026-11-21T20:36:50.879Z','2026-11-21T20:36:50.879Z','2026-11-21T20:48:50.879Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(3,'creativeai','vgen_failed_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:50.991Z','2026-11-21T20:36:50.991Z','2026-11-21T20:36:50.991Z','2026-11-21T20:48:50.991Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(4,'creativeai','vgen_failed_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:51.114Z','2026-11-21T20:36:51.114Z','2026-11-21T20:36:51.114Z','2026-11-21T20:48:51.114Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(5,'creativeai','vgen_running_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:37:04.762Z','2026-11-21T20:37:04.762Z','2026-11-21T20:37:04.762Z','2026-11-21T20:49:04.762Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(6,'creativeai','vgen_running_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:37:04.832Z','2026-11-21T20:37:04.832Z','2026-11-21T20:37:04.832Z','2026-11-21T20:49:04.832Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(7,'creativeai','vgen_unrouted_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:37:07.309Z','2026-11-21T20:37:07.309Z','2026-11-21T20:37:07.309Z','2026-11-21T20:49:07.309Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(8,'creativeai','vgen_unrouted_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:37:07.370Z','2026-11-21T20:37:07.370Z','2026-11-21T20:37:07.370Z','2026-11-21T20:49:07.370Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(9,'creativeai','vgen_unrouted_3','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:37:07.503Z','2026-11-21T20:37:07.503Z','2026-11-21T20:37:07.503Z','2026-11-21T20:49:07.503Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(10,'hinted','vgen_hinted','video','queued',NULL,NULL,'{}','hint','2026-11-21T20:37:07.703Z','2026-11-21T20:37:07.703Z',NULL,'2026-11-21T20:49:07.703Z','2026-11-21T20:37:07.703Z',NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(11,'creativeai','vgen_open_1','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:37:10.076Z','2026-11-21T20:37:10.076Z',NULL,'2026-11-21T20:49:10.076Z','2026-11-21T20:37:20.076Z',NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(12,'creativeai','vgen_open_2','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:37:15.468Z','2026-11-21T20:37:15.468Z',NULL,'2026-11-21T20:49:15.468Z','2026-11-21T20:37:25.468Z',NULL,0,0,0,NULL,NULL,NULL,0);
CREATE TABLE keys (
        source TEXT PRIMARY KEY,
        keys TEXT NOT NULL,
        fetched_at TEXT,
        wanted INTEGER NOT NULL DEFAULT 0,      -- a signature was met that none of them made
        tried_at TEXT
    ) STRICT
    ;
CREATE TABLE limits (                       -- what a provider said of its request budget
        source TEXT PRIMARY KEY,
        count INTEGER,
        remaining INTEGER,
        resets_at TEXT,
        paused_until TEXT
    ) STRICT
    ;
CREATE TABLE proofs (id INTEGER PRIMARY KEY, proved_at TEXT NOT NULL) STRICT;
INSERT INTO "proofs" VALUES(1,'2026-11-21T20:36:50.331Z');
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
INSERT INTO "quarantine" VALUES(1,'creativeai','signature_mismatch','no configured secret makes this signature over the bytes received','/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_refused", "x-creativeai-signature": "sha256=622fe5ae2c2ce9a76218e748dca8f71458eca89858cd0370968fa96580f06971", "content-length": "311"}',X'7B226964223A20227667656E5F72656675736564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F726566757365642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33373A30372E3530355A227D','2026-11-21T20:37:07.603Z');
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
CREATE INDEX dispatches_leased ON dispatches (leased_until) WHERE state = 'running';
CREATE INDEX dispatches_unfinished ON dispatches (source, job_id, handler, id)
    WHERE state IN ('pending', 'running')
    ;
CREATE INDEX attempts_dispatch ON attempts (dispatch_id, id);
CREATE INDEX quarantine_source ON quarantine (source, id);
CREATE INDEX requests_sent ON requests (source, sent_at);
CREATE INDEX starts_handler ON starts (handler, started_at);
CREATE INDEX dispatches_due ON dispatches (handler, rank, due_at) WHERE state = 'pending';
CREATE INDEX dispatches_replayed ON dispatches (replay_id, state) WHERE replay_id IS NOT NULL;
CREATE INDEX dispatches_dead ON dispatches (id) WHERE state = 'dead';
COMMIT;
