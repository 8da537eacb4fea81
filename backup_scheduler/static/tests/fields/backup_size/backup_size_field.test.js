import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import {
    defineModels,
    fields,
    makeMockEnv,
    models,
    mountView,
} from "@web/../tests/web_test_helpers";

import { formatSize } from "@backup_scheduler/fields/backup_size/backup_size_field";

class Archive extends models.Model {
    size = fields.Float({ string: "Size" });

    _records = [
        { id: 1, size: 1_400_000_000 },
        { id: 2, size: 0 },
    ];
}

defineMailModels();
defineModels([Archive]);

const SIZES = [
    [false, ""],
    [0, ""],
    [1, "1 bytes"],
    [999, "999 bytes"],
    [1000, "1.0 kB"],
    [1_400_000_000, "1.4 GB"],
    [2_500_000_000_000_000, "2,500.0 TB"],
];

for (const [bytes, said] of SIZES) {
    test(`${bytes} bytes are said as “${said}”`, async () => {
        await makeMockEnv(); // with the user's decimal point
        expect(formatSize(bytes)).toBe(said);
    });
}

test("a list shows sizes as people read them, and nothing where there is none", async () => {
    await mountView({
        resModel: "archive",
        type: "list",
        arch: `<list><field name="size" widget="backup_size"/></list>`,
    });
    expect(".o_data_cell").toHaveCount(2);
    expect(".o_data_row:first .o_data_cell").toHaveText("1.4 GB");
    expect(".o_data_row:last .o_data_cell").toHaveText("");
});
