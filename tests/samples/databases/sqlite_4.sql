BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'receiver','create_tables','2026-11-21 20:36:04.471418+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'receiver','submit_and_follow','2026-11-21 20:36:04.472113+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'receiver','hold_handlers','2026-11-21 20:36:04.472332+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'receiver','rank_replays','2026-11-21 20:36:04.472815+00:00');
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
INSERT INTO "attempts" VALUES(1,1,1,'vm:7050','2026-11-21T20:36:11.054Z','2026-11-21T20:36:11.058Z','done',NULL);
INSERT INTO "attempts" VALUES(2,3,1,'vm:7050','2026-11-21T20:36:11.054Z','2026-11-21T20:36:11.060Z','done',NULL);
INSERT INTO "attempts" VALUES(3,5,1,'vm:7050','2026-11-21T20:36:11.054Z','2026-11-21T20:36:11.060Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(4,7,1,'vm:7050','2026-11-21T20:36:11.054Z','2026-11-21T20:36:11.060Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(5,2,1,'vm:7050','2026-11-21T20:36:11.055Z','2026-11-21T20:36:11.060Z','done',NULL);
INSERT INTO "attempts" VALUES(6,4,1,'vm:7050','2026-11-21T20:36:11.055Z','2026-11-21T20:36:11.060Z','done',NULL);
INSERT INTO "attempts" VALUES(7,6,1,'vm:7050','2026-11-21T20:36:11.055Z','2026-11-21T20:36:11.061Z','dead','ValueError: not now');
INSERT INTO "attempts" VALUES(8,8,1,'vm:7050','2026-11-21T20:36:11.055Z','2026-11-21T20:36:11.066Z','dead','ValueError: not now');
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
INSERT INTO "deliveries" VALUES(1,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_1", "x-creativeai-signature": "sha256=8a6cc3fd595ed3c4ae93184f11bfcf181920506299e62a112fb54c89884fbd66", "content-length": "309"}',X'7B226964223A20227667656E5F646F6E655F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A30362E3638365A227D',NULL,'2026-11-21T20:36:06.833Z',2,'2026-11-21T20:36:07.055Z');
INSERT INTO "deliveries" VALUES(2,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_2", "x-creativeai-signature": "sha256=c70c432a8f4a98e96fb0b1ba7637c8866925a6c4cb4c29451bbd700ff60601de", "content-length": "309"}',X'7B226964223A20227667656E5F646F6E655F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A30372E3036305A227D',NULL,'2026-11-21T20:36:07.131Z',1,'2026-11-21T20:36:07.132Z');
INSERT INTO "deliveries" VALUES(3,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_1", "x-creativeai-signature": "sha256=63e1d56ee3dc6effbd4a29c7ccd6d388eb0ebff9e62e281bd0f22184540dd609", "content-length": "313"}',X'7B226964223A20227667656E5F6661696C65645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A30372E3136325A227D',NULL,'2026-11-21T20:36:07.215Z',1,'2026-11-21T20:36:07.216Z');
INSERT INTO "deliveries" VALUES(4,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_2", "x-creativeai-signature": "sha256=31cdbae5beb6fab9f649ccb0562b911ab703fec68b6f04691ccb392d70e70f9e", "content-length": "313"}',X'7B226964223A20227667656E5F6661696C65645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A30372E3232325A227D',NULL,'2026-11-21T20:36:07.272Z',1,'2026-11-21T20:36:07.272Z');
INSERT INTO "deliveries" VALUES(5,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_1", "x-creativeai-signature": "sha256=d1af9366e3b11e2bd54474581b7d30809c5268a4001995bf92b33f2ca54191ae", "content-length": "315"}',X'7B226964223A20227667656E5F72756E6E696E675F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A32302E3530395A227D',NULL,'2026-11-21T20:36:20.575Z',1,'2026-11-21T20:36:20.575Z');
INSERT INTO "deliveries" VALUES(6,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_2", "x-creativeai-signature": "sha256=e08cc8d820567e5d55ca4bc4d65130bebf28f37fab7edb5a72b6667d4c7a394c", "content-length": "315"}',X'7B226964223A20227667656E5F72756E6E696E675F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A32302E3539325A227D',NULL,'2026-11-21T20:36:20.730Z',1,'2026-11-21T20:36:20.733Z');
INSERT INTO "deliveries" VALUES(7,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_1", "x-creativeai-signature": "sha256=54833ec20a29f9b3a753f806e8ce806f98eab1fd20ebc99cd05efe6aa406723d", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A32342E3634325A227D',NULL,'2026-11-21T20:36:24.723Z',1,'2026-11-21T20:36:24.723Z');
INSERT INTO "deliveries" VALUES(8,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_2", "x-creativeai-signature": "sha256=64f17681a753005280c62fe00740c4e0a98770c3bc09d998b052444b998214fe", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A32342E3732395A227D',NULL,'2026-11-21T20:36:24.812Z',1,'2026-11-21T20:36:24.812Z');
INSERT INTO "deliveries" VALUES(9,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_3", "x-creativeai-signature": "sha256=89a3a2f01e3677f3a8a25b5db4e12410038f69364747525dff18985861029f90", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F33222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F332E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A32342E3831385A227D',NULL,'2026-11-21T20:36:24.899Z',1,'2026-11-21T20:36:24.899Z');
INSERT INTO "deliveries" VALUES(10,'hinted','webhook','hint','hint',NULL,'/webhooks/hinted','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_hinted", "x-creativeai-signature": "sha256=8877876a8966de2dc3a4d9519cef256c490779c75931458a44aa6128913b6d05", "content-length": "309"}',X'7B226964223A20227667656E5F68696E746564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F68696E7465642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A32342E3937345A227D','5ce610d012bfd31a505e68300ba3fb2f18e1d4baa35c5e5dd2b35ff711beadec','2026-11-21T20:36:25.021Z',1,'2026-11-21T20:36:25.022Z');
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
INSERT INTO "dispatches" VALUES(1,1,'patient',0,'creativeai','vgen_done_1','done','0656adcad41af0a89b063af01855caaf',1,'2026-11-21T20:36:11.058Z',NULL,'vm:7050','2026-11-21T20:36:11.054Z',NULL,NULL,NULL,'2026-11-21T20:36:11.051Z','2026-11-21T20:36:11.058Z',NULL,0);
INSERT INTO "dispatches" VALUES(2,1,'strict',0,'creativeai','vgen_done_1','done','faf7914e8b208bd8bbe5d650a46ae901',1,'2026-11-21T20:36:11.060Z',NULL,'vm:7050','2026-11-21T20:36:11.055Z',NULL,NULL,NULL,'2026-11-21T20:36:11.051Z','2026-11-21T20:36:11.060Z',NULL,0);
INSERT INTO "dispatches" VALUES(3,2,'patient',0,'creativeai','vgen_done_2','done','04102fa9a0fde476e56dab0a2080f7e4',1,'2026-11-21T20:36:11.060Z',NULL,'vm:7050','2026-11-21T20:36:11.054Z',NULL,NULL,NULL,'2026-11-21T20:36:11.051Z','2026-11-21T20:36:11.060Z',NULL,0);
INSERT INTO "dispatches" VALUES(4,2,'strict',0,'creativeai','vgen_done_2','done','ca20c07ae5f0bc0aa6ffd0705465f5d4',1,'2026-11-21T20:36:11.060Z',NULL,'vm:7050','2026-11-21T20:36:11.055Z',NULL,NULL,NULL,'2026-11-21T20:36:11.051Z','2026-11-21T20:36:11.060Z',NULL,0);
INSERT INTO "dispatches" VALUES(5,3,'patient',0,'creativeai','vgen_failed_1','pending','5abbb9ce1e21e147dde5ec7881dcf782',1,'2026-11-21T20:37:20.503Z',NULL,'vm:7050','2026-11-21T20:36:11.054Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:36:11.051Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(6,3,'strict',0,'creativeai','vgen_failed_1','dead','461a880c2874eec18d6f2327560d3987',1,'2026-11-21T20:36:11.061Z',NULL,'vm:7050','2026-11-21T20:36:11.055Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:36:11.051Z','2026-11-21T20:36:11.061Z',NULL,0);
INSERT INTO "dispatches" VALUES(7,4,'patient',0,'creativeai','vgen_failed_2','pending','da457cc1b762e889ca78b2276454af7a',1,'2026-11-21T20:37:14.140Z',NULL,'vm:7050','2026-11-21T20:36:11.054Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:36:11.051Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(8,4,'strict',0,'creativeai','vgen_failed_2','dead','328f6002b842946c24c9645185f06061',1,'2026-11-21T20:36:11.066Z',NULL,'vm:7050','2026-11-21T20:36:11.055Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:36:11.051Z','2026-11-21T20:36:11.066Z',NULL,0);
INSERT INTO "dispatches" VALUES(9,5,'patient',0,'creativeai','vgen_running_1','running','20807b09c0df81c107c84776a917410e',1,'2026-11-21T20:36:20.632Z','ad93a9ffabee2c0ab8aac4b591adc21c','vm:7050','2026-11-21T20:36:20.650Z','2026-11-21T20:37:20.650Z',NULL,NULL,'2026-11-21T20:36:20.632Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(10,5,'strict',0,'creativeai','vgen_running_1','running','ee77be8c456badf8754ff48424d652a2',1,'2026-11-21T20:36:20.632Z','77a9ee8ba53649bccd5e522f5724e6a6','vm:7050','2026-11-21T20:36:20.651Z','2026-11-21T20:37:20.651Z',NULL,NULL,'2026-11-21T20:36:20.632Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(11,6,'patient',0,'creativeai','vgen_running_2','running','62f578d33ddf8ddab4e362ca2e9d9002',1,'2026-11-21T20:36:21.011Z','74e177eff6de2657ed4fc3a160771d67','vm:7050','2026-11-21T20:36:21.013Z','2026-11-21T20:37:21.013Z',NULL,NULL,'2026-11-21T20:36:21.011Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(12,6,'strict',0,'creativeai','vgen_running_2','running','041f4567821a2b33368cdafae980c797',1,'2026-11-21T20:36:21.011Z','fce660c3e04fae1f21f08afdda3d1b5b','vm:7050','2026-11-21T20:36:21.013Z','2026-11-21T20:37:21.013Z',NULL,NULL,'2026-11-21T20:36:21.011Z',NULL,NULL,0);
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
INSERT INTO "events" VALUES(1,'creativeai','vgen_done_1:succeeded','video.generation.completed','vgen_done_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:06.686Z"}','2026-11-21T20:36:06.686Z','2026-11-21T20:36:06.833Z','2026-11-21T20:36:06.833Z',NULL,1,'2026-11-21T20:36:11.051Z');
INSERT INTO "events" VALUES(2,'creativeai','vgen_done_2:succeeded','video.generation.completed','vgen_done_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:07.060Z"}','2026-11-21T20:36:07.060Z','2026-11-21T20:36:07.132Z','2026-11-21T20:36:07.132Z',NULL,2,'2026-11-21T20:36:11.051Z');
INSERT INTO "events" VALUES(3,'creativeai','vgen_failed_1:succeeded','video.generation.completed','vgen_failed_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:07.162Z"}','2026-11-21T20:36:07.162Z','2026-11-21T20:36:07.216Z','2026-11-21T20:36:07.216Z',NULL,3,'2026-11-21T20:36:11.051Z');
INSERT INTO "events" VALUES(4,'creativeai','vgen_failed_2:succeeded','video.generation.completed','vgen_failed_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:07.222Z"}','2026-11-21T20:36:07.222Z','2026-11-21T20:36:07.272Z','2026-11-21T20:36:07.272Z',NULL,4,'2026-11-21T20:36:11.051Z');
INSERT INTO "events" VALUES(5,'creativeai','vgen_running_1:succeeded','video.generation.completed','vgen_running_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:20.509Z"}','2026-11-21T20:36:20.509Z','2026-11-21T20:36:20.575Z','2026-11-21T20:36:20.575Z',NULL,5,'2026-11-21T20:36:20.632Z');
INSERT INTO "events" VALUES(6,'creativeai','vgen_running_2:succeeded','video.generation.completed','vgen_running_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:20.592Z"}','2026-11-21T20:36:20.592Z','2026-11-21T20:36:20.733Z','2026-11-21T20:36:20.733Z',NULL,6,'2026-11-21T20:36:21.011Z');
INSERT INTO "events" VALUES(7,'creativeai','vgen_unrouted_1:succeeded','video.generation.completed','vgen_unrouted_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:24.642Z"}','2026-11-21T20:36:24.642Z','2026-11-21T20:36:24.723Z','2026-11-21T20:36:24.723Z',NULL,7,NULL);
INSERT INTO "events" VALUES(8,'creativeai','vgen_unrouted_2:succeeded','video.generation.completed','vgen_unrouted_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:24.729Z"}','2026-11-21T20:36:24.729Z','2026-11-21T20:36:24.812Z','2026-11-21T20:36:24.812Z',NULL,8,NULL);
INSERT INTO "events" VALUES(9,'creativeai','vgen_unrouted_3:succeeded','video.generation.completed','vgen_unrouted_3','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_3", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:36:24.818Z"}','2026-11-21T20:36:24.818Z','2026-11-21T20:36:24.899Z','2026-11-21T20:36:24.899Z',NULL,9,NULL);
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
INSERT INTO "jobs" VALUES(1,'creativeai','vgen_done_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:06.833Z','2026-11-21T20:36:06.833Z','2026-11-21T20:36:06.833Z','2026-11-21T20:48:06.833Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(2,'creativeai','vgen_done_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:07.132Z','2026-11-21T20:36:07.132Z','2026-11-21T20:36:07.132Z','2026-11-21T20:48:07.132Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(3,'creativeai','vgen_failed_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:07.216Z','2026-11-21T20:36:07.216Z','2026-11-21T20:36:07.216Z','2026-11-21T20:48:07.216Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(4,'creativeai','vgen_failed_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:07.272Z','2026-11-21T20:36:07.272Z','2026-11-21T20:36:07.272Z','2026-11-21T20:48:07.272Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(5,'creativeai','vgen_running_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:20.575Z','2026-11-21T20:36:20.575Z','2026-11-21T20:36:20.575Z','2026-11-21T20:48:20.575Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(6,'creativeai','vgen_running_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:20.733Z','2026-11-21T20:36:20.733Z','2026-11-21T20:36:20.733Z','2026-11-21T20:48:20.733Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(7,'creativeai','vgen_unrouted_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:24.723Z','2026-11-21T20:36:24.723Z','2026-11-21T20:36:24.723Z','2026-11-21T20:48:24.723Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(8,'creativeai','vgen_unrouted_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:24.812Z','2026-11-21T20:36:24.812Z','2026-11-21T20:36:24.812Z','2026-11-21T20:48:24.812Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(9,'creativeai','vgen_unrouted_3','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:36:24.899Z','2026-11-21T20:36:24.899Z','2026-11-21T20:36:24.899Z','2026-11-21T20:48:24.899Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(10,'hinted','vgen_hinted','video','queued',NULL,NULL,'{}','hint','2026-11-21T20:36:25.022Z','2026-11-21T20:36:25.022Z',NULL,'2026-11-21T20:48:25.022Z','2026-11-21T20:36:25.022Z',NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(11,'creativeai','vgen_open_1','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:36:28.469Z','2026-11-21T20:36:28.469Z',NULL,'2026-11-21T20:48:28.469Z','2026-11-21T20:36:38.469Z',NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(12,'creativeai','vgen_open_2','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:36:32.755Z','2026-11-21T20:36:32.755Z',NULL,'2026-11-21T20:48:32.755Z','2026-11-21T20:36:42.755Z',NULL,0,0,0,NULL,NULL,NULL,0);
CREATE TABLE limits (                       -- what a provider said of its request budget
        source TEXT PRIMARY KEY,
        count INTEGER,
        remaining INTEGER,
        resets_at TEXT,
        paused_until TEXT
    ) STRICT
    ;
CREATE TABLE proofs (id INTEGER PRIMARY KEY, proved_at TEXT NOT NULL) STRICT;
INSERT INTO "proofs" VALUES(1,'2026-11-21T20:36:06.681Z');
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
INSERT INTO "quarantine" VALUES(1,'creativeai','signature_mismatch','no configured secret makes this signature over the bytes received','/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_refused", "x-creativeai-signature": "sha256=c43632b8334e67167f1d20544c36a7d728d15b85af8917cb18de0c9aab5b78d5", "content-length": "311"}',X'7B226964223A20227667656E5F72656675736564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F726566757365642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33363A32342E3931305A227D','2026-11-21T20:36:24.973Z');
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
