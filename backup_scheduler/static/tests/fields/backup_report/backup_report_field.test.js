import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import {
    defineModels,
    fields,
    makeMockEnv,
    models,
    mountView,
} from "@web/../tests/web_test_helpers";

import { sentencesOf } from "@backup_scheduler/fields/backup_report/sentences";

const REPORT = {
    archive_format: "zip",
    level: 3,
    size: 812_000_000,
    members: 1300,
    filestore_files: 1234,
    attachments: 1250,
    users: 14,
    modules: 62,
    tables: 540,
    odoo_version: "19.0",
    pg_version: "15.4",
    notes: [],
};
const WORDS = [
    [{}, "good", /Every byte of 812\.0 MB read; the checksums of all 1,300 files in it are right/],
    [{}, "good", /1,250 attachments listed, 1,234 files in the filestore: none is missing/],
    [{}, "good", /14 users, 62 modules, 540 tables/],
    [{}, "open", /not yet restored as a test: that takes level 4/],
    [{}, "note", /It comes from Odoo 19\.0, PostgreSQL 15\.4/],
    [{ level: 4 }, "good", /Restored into a scratch database without an error/],
    [{ level: 1 }, "good", /archive of 812\.0 MB is complete/],
    [{ level: 2, archive_format: "dump" }, "good", /the dump is whole, to its end/],
    [{ level: 2, users: 0, modules: 0, tables: 0 }, "open", /not counted: that takes level 3/],
    [{ missing_files: 1, damaged_files: 3 }, "bad", /filestore: 1 is missing, 3 are damaged/],
    [{ level: 3, known_gaps: 12 }, "good", /none was changed, but for the known gaps/],
    [{ surplus_files: 2 }, "note", /2 files of the filestore belong to no attachment/],
    [{ late_files: 1 }, "note", /1 file came or went while the backup was made/],
    [{ notes: ["The dump cannot be read here."] }, "note", /The dump cannot be read here/],
];

for (const [values, tone, words] of WORDS) {
    test(`a report with ${JSON.stringify(values)} says, as ${tone}, ${words}`, async () => {
        await makeMockEnv();
        const said = sentencesOf({ ...REPORT, ...values }).filter((part) => part.tone === tone);
        expect(said.map((part) => String(part.text)).join("\n")).toMatch(words);
    });
}

test("an archive that lacks files is never said to lack none", async () => {
    await makeMockEnv();
    const texts = sentencesOf({ ...REPORT, missing_files: 1 }).map((part) => String(part.text));
    expect(texts.join("\n")).not.toMatch(/none is missing/);
});

class Run extends models.Model {
    verification_report = fields.Json();
    verification_level = fields.Selection({
        selection: [
            ["1", "1 – Complete"],
            ["2", "2 – Intact"],
            ["3", "3 – Consistent"],
            ["4", "4 – Restored"],
        ],
    });
    verified_at = fields.Datetime();
    drilled_at = fields.Datetime();
    finding = fields.Json();

    _records = [
        { id: 1, verification_report: REPORT, verification_level: "3" },
        {
            id: 2,
            verification_report: { ...REPORT, missing_files: 2 },
            verification_level: "2",
            finding: { level: 3, error: "2 files are missing.", hint: "Look at the server." },
        },
        { id: 3 },
    ];
}

defineMailModels();
defineModels([Run]);

const mountReport = (resId) =>
    mountView({
        resModel: "run",
        resId,
        type: "form",
        arch: `<form><field name="verification_report" widget="backup_report"/></form>`,
    });

test("the levels that were reached are told from those that were not in words", async () => {
    await mountReport(1);
    expect(".o_backup_report_levels li").toHaveCount(4);
    expect(".o_backup_report_levels li:eq(2)").toHaveText(/Consistent\s*: reached/);
    expect(".o_backup_report_levels li:eq(3)").toHaveText(/Restored\s*: not reached/);
});

test("what is wrong is said where it was looked for", async () => {
    await mountReport(2);
    expect("li[data-tone=bad]").toHaveCount(1);
    expect("li[data-tone=bad]").toHaveText(/2 are missing/);
});

test("an archive that could not be restored is not called one that was not yet restored", async () => {
    await makeMockEnv();
    const said = sentencesOf(REPORT, { level: 4, error: "psql failed." });
    expect(said.filter((part) => part.tone === "bad").map((part) => String(part.text))).toEqual([
        "Restoring it as a test failed: psql failed.",
    ]);
    expect(said.some((part) => part.tone === "open")).toBe(false);
});

test("a run without an archive that was read says so", async () => {
    await mountReport(3);
    expect(".o_field_widget").toHaveText("No archive of this run was read yet.");
});
