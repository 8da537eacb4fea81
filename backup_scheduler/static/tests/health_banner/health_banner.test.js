import { defineMailModels } from "@mail/../tests/mail_test_helpers";
import { expect, test } from "@odoo/hoot";
import { contains, mockService, mountWithCleanup } from "@web/../tests/web_test_helpers";

import { HealthBanner } from "@backup_scheduler/health_banner/health_banner";

defineMailModels();

const DISPATCHER = { check: "cron", problem: "It is off.", hint: "Switch it on.", record: false };
const CHANNEL = {
    check: "alerts",
    problem: "Alert channel “Hook”: 404 Not Found",
    hint: "Check the address.",
    record: { model: "backup.alert.channel", id: 7, name: "Hook" },
};

test("each problem is said with what to do, also several of one kind", async () => {
    const second = { ...CHANNEL, problem: "Alert channel “Chat”: 500" };
    await mountWithCleanup(HealthBanner, { props: { problems: [DISPATCHER, CHANNEL, second] } });
    expect("[role=alert]").toHaveCount(3);
    expect(".alert-danger").toHaveText("It is off. Switch it on.");
    expect(".alert-danger button").toHaveCount(0);
});

test("alerts that do not get through are no danger to any backup, and lead to their channel", async () => {
    mockService("action", {
        doAction: (action) => expect.step([action.res_model, action.res_id, action.views]),
    });
    await mountWithCleanup(HealthBanner, { props: { problems: [CHANNEL] } });
    expect(".alert-danger").toHaveCount(0);
    expect(".alert-warning").toHaveText(/404 Not Found Check the address\./);
    await contains("button:contains(Open “Hook”)").click();
    expect.verifySteps([["backup.alert.channel", 7, [[false, "form"]]]]);
});

test("where all is well nothing is said", async () => {
    await mountWithCleanup(HealthBanner, { props: { problems: [] } });
    expect("[role=alert]").toHaveCount(0);
});
