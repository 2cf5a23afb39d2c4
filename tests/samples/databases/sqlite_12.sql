BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'receiver','create_tables','2026-11-21 22:02:55.318380+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'receiver','submit_and_follow','2026-11-21 22:02:55.319228+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'receiver','hold_handlers','2026-11-21 22:02:55.319476+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'receiver','rank_replays','2026-11-21 22:02:55.319974+00:00');
INSERT INTO "_sqlite_migrations" VALUES(5,'receiver','keep_keys','2026-11-21 22:02:55.320102+00:00');
INSERT INTO "_sqlite_migrations" VALUES(6,'receiver','open_to_people','2026-11-21 22:02:55.320541+00:00');
INSERT INTO "_sqlite_migrations" VALUES(7,'receiver','watch_over','2026-11-21 22:02:55.320706+00:00');
INSERT INTO "_sqlite_migrations" VALUES(8,'receiver','share_work','2026-11-21 22:02:55.320865+00:00');
INSERT INTO "_sqlite_migrations" VALUES(9,'receiver','let_go','2026-11-21 22:02:55.322958+00:00');
INSERT INTO "_sqlite_migrations" VALUES(10,'receiver','learn_job_times','2026-11-21 22:02:55.324300+00:00');
INSERT INTO "_sqlite_migrations" VALUES(11,'receiver','find_for_people','2026-11-21 22:02:55.324802+00:00');
INSERT INTO "_sqlite_migrations" VALUES(12,'receiver','trace_events','2026-11-21 22:02:55.325465+00:00');
CREATE TABLE alerts (                       -- what is wrong, until people were told that it is over
        cause TEXT PRIMARY KEY,
        summary TEXT NOT NULL,
        since TEXT NOT NULL,
        told_at TEXT,
        over_at TEXT                            -- since when it is no longer so
    ) STRICT
    ;
CREATE TABLE answers (                      -- to requests with an idempotency key, as long as they are kept
        token TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        status INTEGER,                         -- none before the request is answered
        body TEXT,
        began_at TEXT NOT NULL,
        PRIMARY KEY (token, key)
    ) STRICT
    ;
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
INSERT INTO "attempts" VALUES(1,1,1,'vm:21145','2026-11-21T22:03:11.364Z','2026-11-21T22:03:11.398Z','done',NULL);
INSERT INTO "attempts" VALUES(2,3,1,'vm:21145','2026-11-21T22:03:11.364Z','2026-11-21T22:03:11.398Z','done',NULL);
INSERT INTO "attempts" VALUES(3,4,1,'vm:21145','2026-11-21T22:03:11.365Z','2026-11-21T22:03:11.398Z','done',NULL);
INSERT INTO "attempts" VALUES(4,6,1,'vm:21145','2026-11-21T22:03:11.365Z','2026-11-21T22:03:11.398Z','dead','ValueError: not now');
INSERT INTO "attempts" VALUES(5,2,1,'vm:21145','2026-11-21T22:03:11.365Z','2026-11-21T22:03:11.398Z','done',NULL);
INSERT INTO "attempts" VALUES(6,7,1,'vm:21145','2026-11-21T22:03:11.364Z','2026-11-21T22:03:11.398Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(7,5,1,'vm:21145','2026-11-21T22:03:11.364Z','2026-11-21T22:03:11.398Z','retry','ValueError: not now');
INSERT INTO "attempts" VALUES(8,8,1,'vm:21145','2026-11-21T22:03:11.433Z','2026-11-21T22:03:11.443Z','dead','ValueError: not now');
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
    ;
INSERT INTO "deliveries" VALUES(1,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','',X'789C6D52CB6EDC2014DDF72B465E46830DD8D8634BFD8BAEBAB1305CDBA41E403C469946F9F7028DD2A9127905E7C1B9E7FAB5DA8D0FD574AA081D6A9C3E3291CBD0B3EA7CAAB810600BF8D43CFDBB40A085914A6F19D97E2B7B3E49580F1E207384D11A44504667F8178045FC50B782450F0EF10D7431B5F7B01B8DF610EC4B836B7AA94926BD20E1808724E10AC1ED9D7C53124C9DA4E07836AF85B9DA0302C84F1A09F93D77474A166512CDD268983FDB7BB5691EA2834CF43BA7ACFF0E945EA8143DE1848E2BAC23E1036E59C75937887559186B31868111BE92512E0B48C246D15DC8D232DAADE2BD849082A370B7C59A5B7B28518237CF3E55F3C039406F61CFAC168FD5DBB7D7EACBDC66794EB57E5545467D4863F88CFED7CBD5A4324A8018CCC7C5CC4588BCDC7B00C9B50014E82DE3D6257979259F56AE0E93AA9CD3E272A6E022E42831D818E6E88A45DE9F9F9A46C8B4948F6A6B1775F397D83C4C525F6D979DC139E3E62B789F7E87E4A2E371E44E1C4815F21C2D3E3FCC32F3928962DA234210253F289D703B615AB3BEFD59BDFD01E54CE1E2',NULL,'2026-11-21T22:03:02.732Z',2,'2026-11-21T22:03:03.022Z');
INSERT INTO "deliveries" VALUES(2,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','',X'789C6D52CB6EDB3010BCF72B0C1D0353A228EB65A07F91532EC28ADC484C6592205746DC20FF5E920D521709A48B380FCECEEAAD586DA0E27C286AD1973C3EF5B91EFAAE2D8E8702A44497C187EAE1DF014323ADD26649C8F25BBBE341E1F306848923AD3128495B93E05F888EC1A6AF19DB037A060B9A6CEA6EB45AC35622F75AF1520C659D48AF4C7A048A12D00CAF1FE4AB5668CB28450FC9BC94F6E23624545F340AD37DFEC6B4CACA289A943538892FD4A01703B47B4CC4B08268BB9FB18856C28C8D001C47905C741C04B4BD12A293356F4F12C6AE5363DB0FBC1383E030CC2DCE789AFBBAC5E1A3048AC119DD5CB606E7362D73F0EA25C46AEE381B9A85D6C46AF858BCFF782BBECD6DE79758EB77552434501C2324F4BF5E2E36969103EC643F0F2690B4433E0F880A8C4446E29A70E7A33CDF92BE9E416F365639C5C5A54CE4774C5176723B4DBBCF16697FE15C5552C5A57C565BFADD547F89D5DD24E5C59D92337A6FFD74C110E2EF105DCCBE6DA9138F4A539AA3E1C7BB5926C89944DC05AB6B26EA4721CEBC896FC987E6A978FF030FCFE155',NULL,'2026-11-21T22:03:03.360Z',1,'2026-11-21T22:03:03.360Z');
INSERT INTO "deliveries" VALUES(3,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','',X'789C7552CB6EDB3010BCF72B0C1D03532229EB6103FD8B9E7A11E8E54A66229304B932E206F9F7926C9026480BE9A29DD9D9D959BD541717A93AED2A21879AA7479CC438F45DB5DF550A007D011F9A87BF0586169C3676C9C8F2CBF8FD4EE3BC2AC2CC01672D02196733FC84E8995ACDAD605BC4C0D482B688FA3B5D9C651722FFDCF05A8EB5C8A467060115A5166518DEDEC837A3D1D5A91583CAE235B8AB5F91507FE9D198E7853B33BA74A6A6695666453D7D1D10CD62156D0133355E94ECFAEFAA3FCF306ADD890E0EDDA8C716E663AB780F3D28D1765CF13388B93FC07C1E8E9A0BDEEA2111E028C5D84B788B81927546775FA495F7AB8162BD798C299C0F9C15ED4297CC6A455BBD7E7BA9FEE3DC9D1F53B4FF8A23A391D22231A39FB2B9BA1448B1B0917B2F4C0A6853A51E11B5B2808CE42DE33EA4F632257FE5F92EC539A5E365571436CC5636F21B4D5B2812F986F1D434A0D361DEC3ADC3669B3FC4E6D32EF5D51FB23686E0C274C518D34F9174ECB6AE399780DA50DEA4E5FB0FDB4CAAB8925CF64C0826C50F294FBC4D6FDD0EC3CFEAF537FD4FE450',NULL,'2026-11-21T22:03:03.500Z',1,'2026-11-21T22:03:03.500Z');
INSERT INTO "deliveries" VALUES(4,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','',X'789C7552CB6EDB3010BCF72B0C1D03531269EB1103FD8B9E7A11D6E44A62229304B934E206F9F7904C9026480BE9A29DD9D9D9593D57AB0D549D76151743DDA6879FF838F45DB5DF552025BA02DE35777F0B0C8DB44A9B2523CB1FEDF63B85F306849923AD3128495B93E14744C760D3D782C5809EC182A688BA1BADD6B095C83D356D2DC69A67D213931E81520B6886D777F2552BB4756A450F59BC96F6E2362454DF7A14E679FEC6B42A9DA9699A416FA826F18D1CF46280A2C74C0D2B88AEFF3908310EDD3C72E073DFF7E7B605E85076FCBEED14F47CB8177D37AAA35232F13B711C8E637B1E14E7789630ABF7182859677473451A9CDBB42CD69B8790C2F9C4D9D02CB466D6811FAA971FCFD57F9CDBF3438AF65F716434505A2464F44B36179B02291622D98FC2049222947A405460243212D78C3B9FDACB94FC95E7DB14E7948E975D918F98AD447291A6E88B44BE6138358D54E9301FE1D63E9AE68DD87CD9A5BEB863D646EFAD9F2E1842FA29928E89DB9673F1A834E54D0EEDFED336131457A2153DE39C09FE4B88537B486FDD89E177F5F20AF93EE3C5',NULL,'2026-11-21T22:03:03.628Z',1,'2026-11-21T22:03:03.628Z');
INSERT INTO "deliveries" VALUES(5,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','',X'789C7552C16EE32010BDEF57443E56C1068C1DD7D2FEC59EF662119838B40E2018A266ABFE7B8156DD56DD954FCC7B6FE6CD1B3F376717B199770DE38796E68FCD6C3A8C43B3DF355229F015BCEBEEFE160858E5B4B16B41D63FC6EF771A4E9B44281CE5AC0585C6D9023F0278223773AD588A10885CC1D6A6FE866767C919D13F75B4E553CB0AE989A80012B3441A02D777F2D568706D964290A579ABDCC56F80A0BF69349479E1468CAECA2C5A42B2363B5EBE4F8866B5125380C28D67C987F127A78A73AE8ED3C4A450AA97BD125248CDE8C0879310948100354D7A0475A4828F9310F25E6B4AEF8F3DB0E13D07CCDE09DE7C6D2DBDDF8CAADEBB8798D3F9C4D9C0AE782EAC3E8B5F7E3C37FFB3EE8E0F39DC7F0552D088799358D02FE95C5C8EA47A48E83E0A8B549864AD47002DAD0282FC5A701FB2BC4E29AF93349BCB812EF97CC5168604C54A429F7049A1B628578C73D7299D4FF3916E9BCD776FC4EEEB32EDC58BD21C427061B9408CF9BFC88D6CDAB6924C006DB0ACD2D3FDA77516596D71CA47C218E1EC17E733ED6736B6E381FD6E5E5E01DC9AE5AD',NULL,'2026-11-21T22:03:16.866Z',1,'2026-11-21T22:03:16.867Z');
INSERT INTO "deliveries" VALUES(6,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','',X'789C7552CB6EDC2014DDF72B465E46836DF08BB1D4BFE8AA1B0BC3B54DE20104D7A34CA3FC7B814669A2B4F20ACE8373CFF54BB1D980C5782A281BCA3A7E74A47CE8BBE27C2A8494E032F8503DFCBD2060A455DAAC09597F69773E295876819038D21A0312B535097E027044ECFA96B12380276205934DDD1D376BC886E89EABBA64BCA489F44CA4078151223481DB1BF9A615D8324AC18B645E4A7B753B20A82F1A05E93D7F275A6565144DFE3026269ED81776D0AB11787848DCB009D6F5DF7B25663E83A4FD322BDE49DEB79CF65C0207C1584DDB656EBB9649C507A5DAA16FBA8BECC43274BC6B627B97B71E3066277877D95A38B76B99B3578F21B6F381B38359714BAC8676C5EBB797E27FD1EDFC18CBFD5721090D18270909FDD4CED5C64A728603EDFBC524241E22DF0700258C0482EC9670E7A33CBF924E8BD0BB8D854E717D2916FA03529403DD81D3E1B345DA6218AB4AAAB89AF776CB18BEFA43AC3E0F535E5D9BCCC17BEBA72B8410FF8B68648E7D4FCD78501AD3284D7DFE30CE24722C56B39E504A18FDC1D8583723EDCB4BCD7E16AFBF012357E5C6',NULL,'2026-11-21T22:03:17.165Z',1,'2026-11-21T22:03:17.165Z');
INSERT INTO "deliveries" VALUES(7,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','',X'789C75525D6F9C30107CEFAF38F1189D019BC318A4FE8B3EF505197B01279C6DF9E3946B94FF5EDB8DD2B469C593776676676779A976E343359D2A4C86BA4D1F9E301B685F9D4F1517026C011F9A87DF05045A18A9F49691ED87B2E79384F5E001324718AD41046574869F002CE287BA152C7A70886FA04B537B0FBBD1680FC13E376D4D588D33E91909073C240957086E6FE49B9260EA2405C773F35A98AB3D2080FCA49190E7B93B52B22893688EDA9998C8F3E7115E6D9A87E82093FDCE494FBFD295D2859001B723A104F838703174C30A2B5B46D632BAB29E2D0B6143D7036EA9E4FD70A14BCFC6CBA5EBC6EE2D8890CCA370B7A535B7F650A2986F1E7D8AE703E700BD853DB33A3C54AF5F5EAAFF7A37CB638AF75F9164D487B48ACFE81FF95C4D0AA59888C1BC17662E42E4A5EE0124D7025020B78C5B97E4654A7EAD5C1D26453AA703665FC145C85662B031CCD19516F98E7E6A1A21D371DEE3AD5DD4CD2F62F3D736F5D55E727770CEB8F90ADEA75F2375D2F13872360EA40A7997AE3D7FD867E6C517690945182382BF1132B5DD44DA7A64DDF7EAF5277F8FE612',NULL,'2026-11-21T22:03:21.232Z',1,'2026-11-21T22:03:21.233Z');
INSERT INTO "deliveries" VALUES(8,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','',X'789C7552CB6EDC2014DDF72B465E46830D78C62FA97FD155371603D7368907105C469946F9F7028DD2B469E5159C07E79EEB976AB301ABE95031DED7347D6C6243DF9DABE3A11252822BE043F3F0FB8280915669B36664FDA1DDF1A060D90542E6486B0C48D4D664F809C011B1EB5BC162004FC40AA698BA3B6ED6900DD13D37B4E643CD32E999480F0293446802B737F24D2BB075928217D9BC96F6EA7640509F340AF27BFE4EB42ACA249AA3F13626F2CC3FD1835E8DC0E82193C326F8B9FBDA0AC5E905E8D00FFCC4DA518DECC218A37C389F463ED24EC861A1AC5F3A71961D5B12998F4274CB30B640D9F85604A6F004EFAE580BE7762D4BF8E631A47A3E7076302B6E99D5B2BE7AFDF252FD37BBBD3CA67AFF55494603A6514246FFE8E76A5329254444FB7E310B895194FB00A084914090DF32EE7C929757F269117AB7A9D2392D30E7421F214789E822CED1178BBCC730358D546939EFF5D63E9AE617B1F96B9AFAEA4ED91DBCB77EBE4208E9D7484E26EE7BEEC683D2986769E9F1C33CB328B938E51D618C70F68DF389B61367353F75DFABD79F6351E606',NULL,'2026-11-21T22:03:21.473Z',1,'2026-11-21T22:03:21.477Z');
INSERT INTO "deliveries" VALUES(9,'creativeai','webhook','signed','recorded',NULL,'/webhooks/creativeai','',X'789C7552CB6EDC2014DDF72B465E46836DC033F658EA5F74D58D85E1DA26F10082CB28D328FF5EA0519A36ADBC82F3E0DC73FD526D3660351E2ACAFABA4D1F1DE9D09F4FD5F1500929C115F0A179F87D41C048ABB45933B2FED0EE7850B0EC022173A43506246A6B32FC04E088D8F5AD603180276205534CDD1D376BC886E89E9BB666434D33E999480F0293446802B737F24D2BB075928217D9BC96F6EA7640509F340AF27BFE4EB42ACA249AA2F13626F2C43FD1835E8DC0E82193C326D8E9FC7566C0E532D39ECB4E8110433F77F3D09DFAA5E74CCDDDA5E36C9130B40BF422B545E9F9D4CE7CEE25151725F95B1198C213BCBB622D9CDBB52CE19BC790EAF9C0D9C1ACB86516A77DF5FAE5A5FA6F763B3FA67AFF55494603A6514246FFE8E76A5329254444FB7E3109895194FB00A084914090DD32EE7C929757F269117AB7A9D2292D30E7421F214789E8224ED1178BBCC730368D546939EFF5D63E9AE617B1F96B9AFAEABAEC0EDE5B3F5D2184F46B242713F73D77E34169CCB3F0F6F8619E49945CAC6567422961F41B6363CB4746EBEED27EAF5E7F0240BBE7C2',NULL,'2026-11-21T22:03:21.615Z',1,'2026-11-21T22:03:21.615Z');
INSERT INTO "deliveries" VALUES(10,'hinted','webhook','hint','hint',NULL,'/webhooks/hinted','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_hinted", "x-creativeai-signature": "sha256=b7870f4389bc0727b21b5aca6dd3e2f8f0717304d3a5717c24253310b15af9f0", "content-type": "application/json", "content-length": "309"}',X'7B226964223A20227667656E5F68696E746564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F68696E7465642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432323A30333A32312E3834325A227D',NULL,'2026-11-21T22:03:21.983Z',1,'2026-11-21T22:03:21.984Z');
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
INSERT INTO "dispatches" VALUES(1,1,'patient',0,'creativeai','vgen_done_1','done','5b7bf6303a1e3df8ec7e73ed9a836fca',1,'2026-11-21T22:03:11.398Z',NULL,'vm:21145','2026-11-21T22:03:11.364Z',NULL,NULL,NULL,'2026-11-21T22:03:11.325Z','2026-11-21T22:03:11.398Z',NULL,0);
INSERT INTO "dispatches" VALUES(2,1,'strict',0,'creativeai','vgen_done_1','done','69eaf1754f08add74eda65d02a12e990',1,'2026-11-21T22:03:11.398Z',NULL,'vm:21145','2026-11-21T22:03:11.365Z',NULL,NULL,NULL,'2026-11-21T22:03:11.325Z','2026-11-21T22:03:11.398Z',NULL,0);
INSERT INTO "dispatches" VALUES(3,2,'patient',0,'creativeai','vgen_done_2','done','9de762e01a6a6239a4f43e482dcfa7ee',1,'2026-11-21T22:03:11.398Z',NULL,'vm:21145','2026-11-21T22:03:11.364Z',NULL,NULL,NULL,'2026-11-21T22:03:11.325Z','2026-11-21T22:03:11.398Z',NULL,0);
INSERT INTO "dispatches" VALUES(4,2,'strict',0,'creativeai','vgen_done_2','done','87d3c6bd93e2ef0bf1cdf4653cb9f4d8',1,'2026-11-21T22:03:11.398Z',NULL,'vm:21145','2026-11-21T22:03:11.365Z',NULL,NULL,NULL,'2026-11-21T22:03:11.325Z','2026-11-21T22:03:11.398Z',NULL,0);
INSERT INTO "dispatches" VALUES(5,3,'patient',0,'creativeai','vgen_failed_1','pending','56a125d38c2f83ca533bd4cacd73c04b',1,'2026-11-21T22:04:03.063Z',NULL,'vm:21145','2026-11-21T22:03:11.364Z',NULL,'ValueError: not now',NULL,'2026-11-21T22:03:11.325Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(6,3,'strict',0,'creativeai','vgen_failed_1','dead','7578b28780a0d2113a0e33449e8b6f79',1,'2026-11-21T22:03:11.398Z',NULL,'vm:21145','2026-11-21T22:03:11.365Z',NULL,'ValueError: not now',NULL,'2026-11-21T22:03:11.325Z','2026-11-21T22:03:11.398Z',NULL,0);
INSERT INTO "dispatches" VALUES(7,4,'patient',0,'creativeai','vgen_failed_2','pending','7f4e9e70a14ec25be9b005578856dd4d',1,'2026-11-21T22:04:13.960Z',NULL,'vm:21145','2026-11-21T22:03:11.364Z',NULL,'ValueError: not now',NULL,'2026-11-21T22:03:11.325Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(8,4,'strict',0,'creativeai','vgen_failed_2','dead','1f5820f83250b6a8daced513a3a80043',1,'2026-11-21T22:03:11.443Z',NULL,'vm:21145','2026-11-21T22:03:11.433Z',NULL,'ValueError: not now',NULL,'2026-11-21T22:03:11.325Z','2026-11-21T22:03:11.443Z',NULL,0);
INSERT INTO "dispatches" VALUES(9,5,'patient',0,'creativeai','vgen_running_1','running','90470789bece083d7007026de3f77685',1,'2026-11-21T22:03:16.881Z','04c909cd8c700bfe03fefb0b7ef3436a','vm:21145','2026-11-21T22:03:16.887Z','2026-11-21T22:04:16.887Z',NULL,NULL,'2026-11-21T22:03:16.881Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(10,5,'strict',0,'creativeai','vgen_running_1','running','1c66884c71210e488ebd368f4195d3b6',1,'2026-11-21T22:03:16.881Z','f1456d200008735d74bfd8f60947cd6f','vm:21145','2026-11-21T22:03:16.887Z','2026-11-21T22:04:16.887Z',NULL,NULL,'2026-11-21T22:03:16.881Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(11,6,'patient',0,'creativeai','vgen_running_2','running','5a3c06dd38efaee369b89c13e5de4c34',1,'2026-11-21T22:03:17.214Z','5d40571b4d824be530ea77045cbeaf67','vm:21145','2026-11-21T22:03:17.225Z','2026-11-21T22:04:17.225Z',NULL,NULL,'2026-11-21T22:03:17.214Z',NULL,NULL,0);
INSERT INTO "dispatches" VALUES(12,6,'strict',0,'creativeai','vgen_running_2','running','6ffe72e167e322ec419f85076802b14b',1,'2026-11-21T22:03:17.214Z','e82f264fd09dd6f654a9b2c4d06583dc','vm:21145','2026-11-21T22:03:17.225Z','2026-11-21T22:04:17.225Z',NULL,NULL,'2026-11-21T22:03:17.214Z',NULL,NULL,0);
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
        routed_at TEXT, emptied_at TEXT, traceparent TEXT,
        UNIQUE (source, key)
    ) STRICT
    ;
INSERT INTO "events" VALUES(1,'creativeai','vgen_done_1:succeeded','video.generation.completed','vgen_done_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T22:03:02.563Z"}','2026-11-21T22:03:02.563Z','2026-11-21T22:03:02.733Z','2026-11-21T22:03:02.733Z',NULL,1,'2026-11-21T22:03:11.325Z',NULL,NULL);
INSERT INTO "events" VALUES(2,'creativeai','vgen_done_2:succeeded','video.generation.completed','vgen_done_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_done_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_done_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T22:03:03.083Z"}','2026-11-21T22:03:03.083Z','2026-11-21T22:03:03.360Z','2026-11-21T22:03:03.360Z',NULL,2,'2026-11-21T22:03:11.325Z',NULL,NULL);
INSERT INTO "events" VALUES(3,'creativeai','vgen_failed_1:succeeded','video.generation.completed','vgen_failed_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T22:03:03.377Z"}','2026-11-21T22:03:03.377Z','2026-11-21T22:03:03.500Z','2026-11-21T22:03:03.500Z',NULL,3,'2026-11-21T22:03:11.325Z',NULL,NULL);
INSERT INTO "events" VALUES(4,'creativeai','vgen_failed_2:succeeded','video.generation.completed','vgen_failed_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_failed_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_failed_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T22:03:03.527Z"}','2026-11-21T22:03:03.527Z','2026-11-21T22:03:03.628Z','2026-11-21T22:03:03.628Z',NULL,4,'2026-11-21T22:03:11.325Z',NULL,NULL);
INSERT INTO "events" VALUES(5,'creativeai','vgen_running_1:succeeded','video.generation.completed','vgen_running_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T22:03:16.671Z"}','2026-11-21T22:03:16.671Z','2026-11-21T22:03:16.867Z','2026-11-21T22:03:16.867Z',NULL,5,'2026-11-21T22:03:16.881Z',NULL,NULL);
INSERT INTO "events" VALUES(6,'creativeai','vgen_running_2:succeeded','video.generation.completed','vgen_running_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_running_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_running_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T22:03:16.902Z"}','2026-11-21T22:03:16.902Z','2026-11-21T22:03:17.165Z','2026-11-21T22:03:17.165Z',NULL,6,'2026-11-21T22:03:17.214Z',NULL,NULL);
INSERT INTO "events" VALUES(7,'creativeai','vgen_unrouted_1:succeeded','video.generation.completed','vgen_unrouted_1','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_1", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_1.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T22:03:20.983Z"}','2026-11-21T22:03:20.983Z','2026-11-21T22:03:21.233Z','2026-11-21T22:03:21.233Z',NULL,7,NULL,NULL,NULL);
INSERT INTO "events" VALUES(8,'creativeai','vgen_unrouted_2:succeeded','video.generation.completed','vgen_unrouted_2','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_2", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_2.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T22:03:21.246Z"}','2026-11-21T22:03:21.246Z','2026-11-21T22:03:21.477Z','2026-11-21T22:03:21.477Z',NULL,8,NULL,NULL,NULL);
INSERT INTO "events" VALUES(9,'creativeai','vgen_unrouted_3:succeeded','video.generation.completed','vgen_unrouted_3','video','succeeded','completed','current','signed','webhook','[{"url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "authorized": false}]',NULL,'{"id": "vgen_unrouted_3", "object": "video.generation", "status": "completed", "model": "auto", "model_actual": "seedance-t2v", "prompt": "", "failover_used": true, "output_url": "https://cdn.creativeai.run/output/vgen_unrouted_3.mp4", "error_message": null, "credits": 30, "completed_at": "2026-11-21T22:03:21.490Z"}','2026-11-21T22:03:21.490Z','2026-11-21T22:03:21.615Z','2026-11-21T22:03:21.615Z',NULL,9,NULL,NULL,NULL);
CREATE TABLE fingerprints (                 -- of bodies, where no event key tells a repetition
        source TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        delivery_id INTEGER NOT NULL,
        received_at TEXT NOT NULL,
        PRIMARY KEY (source, fingerprint)
    ) STRICT, WITHOUT ROWID
    ;
INSERT INTO "fingerprints" VALUES('hinted','b789e4c226097f3ca72bc96cbb8a701dd153d57642c73bc93ca598f083b0669d',10,'2026-11-21T22:03:21.983Z');
CREATE TABLE handlers (                     -- one row for each that something keeps, or kept
        name TEXT PRIMARY KEY,
        failure_count INTEGER NOT NULL DEFAULT 0,
        park_count INTEGER NOT NULL DEFAULT 0,
        parked_until TEXT,
        limited_until TEXT
    , paused_at TEXT) STRICT
    ;
INSERT INTO "handlers" VALUES('patient',2,0,NULL,NULL,NULL);
INSERT INTO "handlers" VALUES('strict',1,0,NULL,NULL,NULL);
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
        last_error TEXT, step TEXT, reference TEXT, incomplete_count INTEGER NOT NULL DEFAULT 0, open_at TEXT, ended_at TEXT, unwatched INTEGER NOT NULL DEFAULT 0,
        UNIQUE (source, job_id),
        -- An open job always has a next poll; one that ended has none.
        CHECK ((finished_at IS NULL) = (next_poll_at IS NOT NULL)),
        CHECK ((finished_at IS NULL) = (status IN ('queued', 'running')))
    ) STRICT
    ;
INSERT INTO "jobs" VALUES(1,'creativeai','vgen_done_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T22:03:02.733Z','2026-11-21T22:03:02.733Z','2026-11-21T22:03:02.733Z','2026-11-21T22:15:02.733Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(2,'creativeai','vgen_done_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T22:03:03.360Z','2026-11-21T22:03:03.360Z','2026-11-21T22:03:03.360Z','2026-11-21T22:15:03.360Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(3,'creativeai','vgen_failed_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T22:03:03.500Z','2026-11-21T22:03:03.500Z','2026-11-21T22:03:03.500Z','2026-11-21T22:15:03.500Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(4,'creativeai','vgen_failed_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T22:03:03.628Z','2026-11-21T22:03:03.628Z','2026-11-21T22:03:03.628Z','2026-11-21T22:15:03.628Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(5,'creativeai','vgen_running_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T22:03:16.867Z','2026-11-21T22:03:16.867Z','2026-11-21T22:03:16.867Z','2026-11-21T22:15:16.867Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(6,'creativeai','vgen_running_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T22:03:17.165Z','2026-11-21T22:03:17.165Z','2026-11-21T22:03:17.165Z','2026-11-21T22:15:17.165Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(7,'creativeai','vgen_unrouted_1','video','succeeded','completed',NULL,'{}','event','2026-11-21T22:03:21.233Z','2026-11-21T22:03:21.233Z','2026-11-21T22:03:21.233Z','2026-11-21T22:15:21.233Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(8,'creativeai','vgen_unrouted_2','video','succeeded','completed',NULL,'{}','event','2026-11-21T22:03:21.477Z','2026-11-21T22:03:21.477Z','2026-11-21T22:03:21.477Z','2026-11-21T22:15:21.477Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(9,'creativeai','vgen_unrouted_3','video','succeeded','completed',NULL,'{}','event','2026-11-21T22:03:21.615Z','2026-11-21T22:03:21.615Z','2026-11-21T22:03:21.615Z','2026-11-21T22:15:21.615Z',NULL,NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(10,'hinted','vgen_hinted','video','queued',NULL,NULL,'{}','hint','2026-11-21T22:03:21.984Z','2026-11-21T22:03:21.984Z',NULL,'2026-11-21T22:15:21.984Z','2026-11-21T22:03:21.984Z',NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(11,'creativeai','vgen_open_1','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T22:03:27.232Z','2026-11-21T22:03:27.232Z',NULL,'2026-11-21T22:15:27.232Z','2026-11-21T22:03:37.232Z',NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
INSERT INTO "jobs" VALUES(12,'creativeai','vgen_open_2','video','queued',NULL,NULL,'{"order": 7}','track','2026-11-21T22:03:30.736Z','2026-11-21T22:03:30.736Z',NULL,'2026-11-21T22:15:30.736Z','2026-11-21T22:03:40.736Z',NULL,0,0,0,NULL,NULL,NULL,0,NULL,NULL,0);
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
INSERT INTO "proofs" VALUES(1,'2026-11-21T22:03:02.511Z');
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
INSERT INTO "quarantine" VALUES(1,'creativeai','signature_mismatch','no configured secret makes this signature over the bytes received','/webhooks/creativeai','{"host": "127.0.0.1:18765", "accept": "*/*", "accept-encoding": "gzip, deflate", "connection": "keep-alive", "user-agent": "python-httpx/0.28.1", "x-creativeai-event": "video.generation.completed", "x-creativeai-delivery-id": "vgen_refused", "x-creativeai-signature": "sha256=c858f9d18f7e8cb130a5fd8d243f6b89e27eec347300109e12f90090c8bc628c", "content-type": "application/json", "content-length": "311"}',X'7B226964223A20227667656E5F72656675736564222C20226F626A656374223A2022766964656F2E67656E65726174696F6E222C2022737461747573223A2022636F6D706C65746564222C20226D6F64656C223A20226175746F222C20226D6F64656C5F61637475616C223A202273656564616E63652D743276222C202270726F6D7074223A2022222C20226661696C6F7665725F75736564223A20747275652C20226F75747075745F75726C223A202268747470733A2F2F63646E2E637265617469766561692E72756E2F6F75747075742F7667656E5F726566757365642E6D7034222C20226572726F725F6D657373616765223A206E756C6C2C202263726564697473223A2033302C2022636F6D706C657465645F6174223A2022323032362D31312D32315432323A30333A32312E3632365A227D','2026-11-21T22:03:21.826Z');
CREATE TABLE queued (                       -- one row for each until somebody has tried to claim it
        dispatch_id INTEGER PRIMARY KEY,
        handler TEXT NOT NULL,
        queued_at TEXT NOT NULL
    ) STRICT
    ;
CREATE TABLE requests (                     -- one row for each request spent, as long as its span lasts
        source TEXT NOT NULL,
        sent_at TEXT NOT NULL
    ) STRICT
    ;
CREATE TABLE sessions (
        digest TEXT PRIMARY KEY,
        token_digest TEXT NOT NULL,             -- what it was opened with: it ends with that token
        created_at TEXT NOT NULL,
        expires_at TEXT NOT NULL
    ) STRICT
    ;
CREATE TABLE sources (                      -- one row for each that a person has paused, or had
        name TEXT PRIMARY KEY,
        paused_at TEXT
    ) STRICT
    ;
CREATE TABLE starts (                       -- one row for each attempt that a limit counts, as long as it does
        handler TEXT NOT NULL,
        started_at TEXT NOT NULL
    ) STRICT
    ;
CREATE TABLE tokens (
        name TEXT PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        scopes TEXT NOT NULL,
        created_at TEXT NOT NULL,
        expires_at TEXT,
        last_used_at TEXT
    ) STRICT
    ;
CREATE TABLE turns (name TEXT PRIMARY KEY, taken_at TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX jobs_due ON jobs (source, next_poll_at) WHERE next_poll_at IS NOT NULL;
CREATE INDEX jobs_hinted ON jobs (source) WHERE origin = 'hint' AND finished_at IS NULL;
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
CREATE INDEX sessions_token ON sessions (token_digest, expires_at);
CREATE INDEX answers_began ON answers (began_at);
CREATE INDEX dispatches_dead_handler ON dispatches (handler) WHERE state = 'dead';
CREATE INDEX quarantine_reasons ON quarantine (source, reason, received_at);
CREATE INDEX queued_handler ON queued (handler, queued_at);
CREATE INDEX fingerprints_delivery ON fingerprints (delivery_id);
CREATE INDEX events_job ON events (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX events_not_succeeded ON events (status, id) WHERE status <> 'succeeded';
CREATE INDEX deliveries_not_recorded ON deliveries (verdict, id) WHERE verdict <> 'recorded';
CREATE INDEX jobs_open ON jobs (id) WHERE next_poll_at IS NOT NULL;
CREATE INDEX jobs_unsuccessful ON jobs (status, id)
    WHERE status IN ('failed', 'cancelled', 'expired', 'lost')
    ;
COMMIT;
