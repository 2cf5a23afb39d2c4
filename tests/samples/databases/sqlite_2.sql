BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'receiver','create_tables','2026-11-21 20:35:04.112313+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'receiver','submit_and_follow','2026-11-21 20:35:04.113640+00:00');
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
INSERT INTO "attempts" VALUES(1,1,1,'vm:2710','2026-11-21T20:35:12.385Z','2026-11-21T20:35:12.400Z','done',NULL);
INSERT INTO "attempts" VALUES(2,3,1,'vm:2710','2026-11-21T20:35:12.385Z','2026-11-21T20:35:12.402Z','done',NULL);
INSERT INTO "attempts" VALUES(3,5,1,'vm:2710','2026-11-21T20:35:12.385Z','2026-11-21T20:35:12.402Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(4,7,1,'vm:2710','2026-11-21T20:35:12.385Z','2026-11-21T20:35:12.403Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(5,2,1,'vm:2710','2026-11-21T20:35:12.386Z','2026-11-21T20:35:12.403Z','done',NULL);
INSERT INTO "attempts" VALUES(6,4,1,'vm:2710','2026-11-21T20:35:12.386Z','2026-11-21T20:35:12.404Z','done',NULL);
INSERT INTO "attempts" VALUES(7,6,1,'vm:2710','2026-11-21T20:35:12.386Z','2026-11-21T20:35:12.404Z','dead','ValueError: not now');
INSERT INTO "attempts" VALUES(8,8,1,'vm:2710','2026-11-21T20:35:12.386Z','2026-11-21T20:35:12.404Z','dead','ValueError: not now');
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
INSERT INTO "deliveries" VALUES(1,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_1", "x-creativeai-signature": "sha256=5547a8e1cfabbd9e2a82abded8d117c92656f6a243a38692e9a3d2f6281be309", "content-length": "309"}',X'7B226964223A20227667656E5F646F6E655F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A30372E3336335A227D',NULL,'2026-11-21T20:35:07.606Z',2,'2026-11-21T20:35:07.682Z');
INSERT INTO "deliveries" VALUES(2,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_done_2", "x-creativeai-signature": "sha256=c72e457b93daffbe7aa0fd9a2c26bcbecfe230771d1e7ec52ef3f006d55820ab", "content-length": "309"}',X'7B226964223A20227667656E5F646F6E655F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F646F6E655F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A30372E3638375A227D',NULL,'2026-11-21T20:35:07.775Z',1,'2026-11-21T20:35:07.776Z');
INSERT INTO "deliveries" VALUES(3,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_1", "x-creativeai-signature": "sha256=6a1445ceb3ab544c9e57d1e408d29ddbbe024c1b5dba3ed3cade564d69f746fb", "content-length": "313"}',X'7B226964223A20227667656E5F6661696C65645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A30372E3739345A227D',NULL,'2026-11-21T20:35:07.940Z',1,'2026-11-21T20:35:07.941Z');
INSERT INTO "deliveries" VALUES(4,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_failed_2", "x-creativeai-signature": "sha256=0ccde31494d545952f276fb42690ca01824f93488d2b163481c80c5b878e3ed2", "content-length": "313"}',X'7B226964223A20227667656E5F6661696C65645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F6661696C65645F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A30372E3936335A227D',NULL,'2026-11-21T20:35:08.080Z',1,'2026-11-21T20:35:08.081Z');
INSERT INTO "deliveries" VALUES(5,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_1", "x-creativeai-signature": "sha256=6229ec8dedff29890f8ac60926cb6ae93e484452aaa2683974c14c599b32fbc6", "content-length": "315"}',X'7B226964223A20227667656E5F72756E6E696E675F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A31382E3737315A227D',NULL,'2026-11-21T20:35:18.838Z',1,'2026-11-21T20:35:18.838Z');
INSERT INTO "deliveries" VALUES(6,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_running_2", "x-creativeai-signature": "sha256=e6683745a4cabadd1b0bae42f198704e0e5e051408eb399d31146aef084bae23", "content-length": "315"}',X'7B226964223A20227667656E5F72756E6E696E675F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F72756E6E696E675F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A31382E3838315A227D',NULL,'2026-11-21T20:35:19.075Z',1,'2026-11-21T20:35:19.080Z');
INSERT INTO "deliveries" VALUES(7,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_1", "x-creativeai-signature": "sha256=eeeb04ea0d4e45d8e5fcfa8e28ddf9242213e13b5349c0140bc63ff270c9aa46", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F31222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F312E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A32322E3238335A227D',NULL,'2026-11-21T20:35:22.355Z',1,'2026-11-21T20:35:22.356Z');
INSERT INTO "deliveries" VALUES(8,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_2", "x-creativeai-signature": "sha256=54779aeba4752d0825169645b2034b73ba4735ab035a01401746004e926401e8", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F32222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F322E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A32322E3338385A227D',NULL,'2026-11-21T20:35:22.527Z',1,'2026-11-21T20:35:22.527Z');
INSERT INTO "deliveries" VALUES(9,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_unrouted_3", "x-creativeai-signature": "sha256=d72317942133374aaeeeee633f392decea08e70841eeff4466679902671b8789", "content-length": "317"}',X'7B226964223A20227667656E5F756E726F757465645F33222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F756E726F757465645F332E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A32322E3533305A227D',NULL,'2026-11-21T20:35:22.620Z',1,'2026-11-21T20:35:22.621Z');
INSERT INTO "deliveries" VALUES(10,'hinted','webhook','hint','hint',NULL,'/webhooks/hinted','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_hinted", "x-creativeai-signature": "sha256=738253f705485f33c2a31f9eb7844feae37e6c8f67951bd9f41bdd97359a6803", "content-length": "309"}',X'7B226964223A20227667656E5F68696E746564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F68696E7465642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A32322E3734355A227D','5930df4254304701543dea02fabcd7961ffab2614963ad8ab56275481c98e94f','2026-11-21T20:35:22.835Z',1,'2026-11-21T20:35:22.835Z');
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
INSERT INTO "dispatches" VALUES(1,1,'patient',0,'creativeai','vgen_done_1','done','0533f5f9984d11ad464f1507c85a8046',1,'2026-11-21T20:35:12.400Z',NULL,'vm:2710','2026-11-21T20:35:12.385Z',NULL,NULL,NULL,'2026-11-21T20:35:12.379Z','2026-11-21T20:35:12.400Z');
INSERT INTO "dispatches" VALUES(2,1,'strict',0,'creativeai','vgen_done_1','done','8c9ef3768d246402726134cd4160eaec',1,'2026-11-21T20:35:12.403Z',NULL,'vm:2710','2026-11-21T20:35:12.386Z',NULL,NULL,NULL,'2026-11-21T20:35:12.379Z','2026-11-21T20:35:12.403Z');
INSERT INTO "dispatches" VALUES(3,2,'patient',0,'creativeai','vgen_done_2','done','05a3c74200ef1628452c9736b6bc3f17',1,'2026-11-21T20:35:12.402Z',NULL,'vm:2710','2026-11-21T20:35:12.385Z',NULL,NULL,NULL,'2026-11-21T20:35:12.379Z','2026-11-21T20:35:12.402Z');
INSERT INTO "dispatches" VALUES(4,2,'strict',0,'creativeai','vgen_done_2','done','56c18b6eb8c9dd7b8059e6a0260340e8',1,'2026-11-21T20:35:12.404Z',NULL,'vm:2710','2026-11-21T20:35:12.386Z',NULL,NULL,NULL,'2026-11-21T20:35:12.379Z','2026-11-21T20:35:12.404Z');
INSERT INTO "dispatches" VALUES(5,3,'patient',0,'creativeai','vgen_failed_1','pending','0aeca21ea6fee6dc8ae1c4d746d9fd09',1,'2026-11-21T20:36:17.658Z',NULL,'vm:2710','2026-11-21T20:35:12.385Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:35:12.379Z',NULL);
INSERT INTO "dispatches" VALUES(6,3,'strict',0,'creativeai','vgen_failed_1','dead','d3121f1f94025e0cc4bc92212ca95327',1,'2026-11-21T20:35:12.404Z',NULL,'vm:2710','2026-11-21T20:35:12.386Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:35:12.379Z','2026-11-21T20:35:12.404Z');
INSERT INTO "dispatches" VALUES(7,4,'patient',0,'creativeai','vgen_failed_2','pending','76f1ecf4728e7a4cc0a8c6a1e6867518',1,'2026-11-21T20:36:10.014Z',NULL,'vm:2710','2026-11-21T20:35:12.385Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:35:12.379Z',NULL);
INSERT INTO "dispatches" VALUES(8,4,'strict',0,'creativeai','vgen_failed_2','dead','c1e973b7aba3836c641a1ab104e36294',1,'2026-11-21T20:35:12.404Z',NULL,'vm:2710','2026-11-21T20:35:12.386Z',NULL,'ValueError: not now',NULL,'2026-11-21T20:35:12.379Z','2026-11-21T20:35:12.404Z');
INSERT INTO "dispatches" VALUES(9,5,'patient',0,'creativeai','vgen_running_1','running','edae55f36da39bd35dd722fc2a3b6d9f',1,'2026-11-21T20:35:18.879Z','df9ad432b4bbb012a67c745b7389e7ff','vm:2710','2026-11-21T20:35:18.891Z','2026-11-21T20:36:18.891Z',NULL,NULL,'2026-11-21T20:35:18.879Z',NULL);
INSERT INTO "dispatches" VALUES(10,5,'strict',0,'creativeai','vgen_running_1','running','345dbb57588a8cb079504054fec82f52',1,'2026-11-21T20:35:18.879Z','a6a6ef5f4b32fca8e16da124054dd289','vm:2710','2026-11-21T20:35:18.892Z','2026-11-21T20:36:18.892Z',NULL,NULL,'2026-11-21T20:35:18.879Z',NULL);
INSERT INTO "dispatches" VALUES(11,6,'patient',0,'creativeai','vgen_running_2','running','a3cad6d02bb5881dbcebe65e73a2926b',1,'2026-11-21T20:35:19.087Z','15f26b196205db1f694b5961f534f814','vm:2710','2026-11-21T20:35:19.108Z','2026-11-21T20:36:19.108Z',NULL,NULL,'2026-11-21T20:35:19.087Z',NULL);
INSERT INTO "dispatches" VALUES(12,6,'strict',0,'creativeai','vgen_running_2','running','cc06f80014ba2e00133550c0ff42d2e0',1,'2026-11-21T20:35:19.087Z','50ad3f9e73dce1e73e934d5e760517c7','vm:2710','2026-11-21T20:35:19.108Z','2026-11-21T20:36:19.108Z',NULL,NULL,'2026-11-21T20:35:19.087Z',NULL);
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
INSERT INTO "events" VALUES(1,'creativeai','vgen_done_1:succeeded','video.generation.completed','vgen_done_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:07.363Z"}','2026-11-21T20:35:07.363Z','2026-11-21T20:35:07.607Z','2026-11-21T20:35:07.607Z',NULL,1,'2026-11-21T20:35:12.379Z');
INSERT INTO "events" VALUES(2,'creativeai','vgen_done_2:succeeded','video.generation.completed','vgen_done_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:07.687Z"}','2026-11-21T20:35:07.687Z','2026-11-21T20:35:07.776Z','2026-11-21T20:35:07.776Z',NULL,2,'2026-11-21T20:35:12.379Z');
INSERT INTO "events" VALUES(3,'creativeai','vgen_failed_1:succeeded','video.generation.completed','vgen_failed_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:07.794Z"}','2026-11-21T20:35:07.794Z','2026-11-21T20:35:07.941Z','2026-11-21T20:35:07.941Z',NULL,3,'2026-11-21T20:35:12.379Z');
INSERT INTO "events" VALUES(4,'creativeai','vgen_failed_2:succeeded','video.generation.completed','vgen_failed_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:07.963Z"}','2026-11-21T20:35:07.963Z','2026-11-21T20:35:08.081Z','2026-11-21T20:35:08.081Z',NULL,4,'2026-11-21T20:35:12.379Z');
INSERT INTO "events" VALUES(5,'creativeai','vgen_running_1:succeeded','video.generation.completed','vgen_running_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:18.771Z"}','2026-11-21T20:35:18.771Z','2026-11-21T20:35:18.838Z','2026-11-21T20:35:18.838Z',NULL,5,'2026-11-21T20:35:18.879Z');
INSERT INTO "events" VALUES(6,'creativeai','vgen_running_2:succeeded','video.generation.completed','vgen_running_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:18.881Z"}','2026-11-21T20:35:18.881Z','2026-11-21T20:35:19.080Z','2026-11-21T20:35:19.080Z',NULL,6,'2026-11-21T20:35:19.087Z');
INSERT INTO "events" VALUES(7,'creativeai','vgen_unrouted_1:succeeded','video.generation.completed','vgen_unrouted_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:22.283Z"}','2026-11-21T20:35:22.283Z','2026-11-21T20:35:22.356Z','2026-11-21T20:35:22.356Z',NULL,7,NULL);
INSERT INTO "events" VALUES(8,'creativeai','vgen_unrouted_2:succeeded','video.generation.completed','vgen_unrouted_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:22.388Z"}','2026-11-21T20:35:22.388Z','2026-11-21T20:35:22.527Z','2026-11-21T20:35:22.527Z',NULL,8,NULL);
INSERT INTO "events" VALUES(9,'creativeai','vgen_unrouted_3:succeeded','video.generation.completed','vgen_unrouted_3','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_3", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T20:35:22.530Z"}','2026-11-21T20:35:22.530Z','2026-11-21T20:35:22.621Z','2026-11-21T20:35:22.621Z',NULL,9,NULL);
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
INSERT INTO "jobs" VALUES(1,'creativeai','vgen_done_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:07.607Z','2026-11-21T20:35:07.607Z','2026-11-21T20:35:07.607Z','2026-11-21T20:47:07.607Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(2,'creativeai','vgen_done_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:07.776Z','2026-11-21T20:35:07.776Z','2026-11-21T20:35:07.776Z','2026-11-21T20:47:07.776Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(3,'creativeai','vgen_failed_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:07.941Z','2026-11-21T20:35:07.941Z','2026-11-21T20:35:07.941Z','2026-11-21T20:47:07.941Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(4,'creativeai','vgen_failed_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:08.081Z','2026-11-21T20:35:08.081Z','2026-11-21T20:35:08.081Z','2026-11-21T20:47:08.081Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(5,'creativeai','vgen_running_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:18.838Z','2026-11-21T20:35:18.838Z','2026-11-21T20:35:18.838Z','2026-11-21T20:47:18.838Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(6,'creativeai','vgen_running_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:19.080Z','2026-11-21T20:35:19.080Z','2026-11-21T20:35:19.080Z','2026-11-21T20:47:19.080Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(7,'creativeai','vgen_unrouted_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:22.356Z','2026-11-21T20:35:22.356Z','2026-11-21T20:35:22.356Z','2026-11-21T20:47:22.356Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(8,'creativeai','vgen_unrouted_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:22.527Z','2026-11-21T20:35:22.527Z','2026-11-21T20:35:22.527Z','2026-11-21T20:47:22.527Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(9,'creativeai','vgen_unrouted_3','video','succeeded','completed',NULL,'{}','event','2026-11-21T20:35:22.621Z','2026-11-21T20:35:22.621Z','2026-11-21T20:35:22.621Z','2026-11-21T20:47:22.621Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(10,'hinted','vgen_hinted','video','queued',NULL,NULL,'{}','hint','2026-11-21T20:35:22.835Z','2026-11-21T20:35:22.835Z',NULL,'2026-11-21T20:47:22.835Z','2026-11-21T20:35:22.835Z',NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(11,'creativeai','vgen_open_1','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:35:25.387Z','2026-11-21T20:35:25.387Z',NULL,'2026-11-21T20:47:25.387Z','2026-11-21T20:35:35.387Z',NULL,0,0,0,NULL,NULL,NULL,0);
INSERT INTO "jobs" VALUES(12,'creativeai','vgen_open_2','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T20:35:27.697Z','2026-11-21T20:35:27.697Z',NULL,'2026-11-21T20:47:27.697Z','2026-11-21T20:35:37.697Z',NULL,0,0,0,NULL,NULL,NULL,0);
CREATE TABLE limits (                       -- what a provider said of its request budget
        source TEXT PRIMARY KEY,
        count INTEGER,
        remaining INTEGER,
        resets_at TEXT,
        paused_until TEXT
    ) STRICT
    ;
CREATE TABLE proofs (id INTEGER PRIMARY KEY, proved_at TEXT NOT NULL) STRICT;
INSERT INTO "proofs" VALUES(1,'2026-11-21T20:35:07.335Z');
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
INSERT INTO "quarantine" VALUES(1,'creativeai','signature_mismatch','no configured secret makes this signature over the bytes received','/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "content-type": "application/json", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_refused", "x-creativeai-signature": "sha256=6ac51ed6ed0652e6d2813ca114b08de8fbaf5d13c0d97dc5c7ccdfd3a9d09050", "content-length": "311"}',X'7B226964223A20227667656E5F72656675736564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F726566757365642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432303A33353A32322E3633385A227D','2026-11-21T20:35:22.743Z');
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
