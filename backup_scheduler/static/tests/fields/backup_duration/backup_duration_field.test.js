import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import {
    allowTranslations,
    defineModels,
    fields,
    models,
    mountView,
} from "@web/../tests/web_test_helpers";

import { formatDuration } from "@backup_scheduler/fields/backup_duration/backup_duration_field";

class Lap extends models.Model {
    duration = fields.Float({ string: "Duration" });

    _records = [
        { id: 1, duration: 185 },
        { id: 2, duration: 0 },
    ];
}

defineMailModels();
defineModels([Lap]);

const DURATIONS = [
    [false, ""],
    [0, ""],
    [0.2, "1 s"],
    [42, "42 s"],
    [59.6, "1 min 00 s"],
    [185, "3 min 05 s"],
    [3599.7, "1 h 00 min"],
    [7800, "2 h 10 min"],
    [360_000, "100 h 00 min"],
];

for (const [seconds, said] of DURATIONS) {
    test(`${seconds} seconds are said as “${said}”`, () => {
        allowTranslations();
        expect(formatDuration(seconds)).toBe(said);
    });
}

test("a list shows durations as people read them, and nothing where there is none", async () => {
    await mountView({
        resModel: "lap",
        type: "list",
        arch: `<list><field name="duration" widget="backup_duration"/></list>`,
    });
    expect(".o_data_row:first .o_data_cell").toHaveText("3 min 05 s");
    expect(".o_data_row:last .o_data_cell").toHaveText("");
});
