import { animationFrame, advanceTime } from "@odoo/hoot-dom";
import { expect } from "@odoo/hoot";
import { mockDate } from "@odoo/hoot-mock";
import {
    getMockEnv,
    getService,
    makeMockEnv,
    mockService,
    mountWithCleanup,
    onRpc,
    patchWithCleanup,
} from "@web/../tests/web_test_helpers";

import { BackupOverview } from "@backup_scheduler/overview/overview";
import { getDefaultConfig } from "@web/views/view";

const NOW = "2026-06-15 12:00:00";
const HOUR = 3600; // seconds
const WELL = "v".repeat(30);
const { DateTime } = luxon;

const DAYS = [...Array(30).keys()].map((number) => {
    const day = DateTime.fromISO("2026-05-17").plus({ days: number });
    return {
        date: day.toISODate(),
        start: `${day.toISODate()} 00:00:00`,
        end: `${day.plus({ days: 1 }).toISODate()} 00:00:00`,
    };
});

export function database(id, name, values = {}) {
    return {
        id,
        name,
        state: "protected",
        promise: 30 * HOUR,
        late_at: "2026-06-16 08:00:00",
        last_good_at: "2026-06-15 02:00:00",
        last_good_run_id: 100 + id,
        size: 2_000_000_000,
        sizes: [1_000_000_000, 1_500_000_000, 2_000_000_000],
        next_run_at: "2026-06-16 02:00:00",
        job_ids: [7],
        strip: { kinds: WELL, counts: {} },
        failure: false,
        ...values,
    };
}

export const LATE = { state: "late", last_good_at: "2026-06-12 02:00:00", late_at: "2026-06-13 08:00:00" };
const UNPROTECTED = {
    state: "unprotected",
    promise: 0,
    late_at: false,
    last_good_at: false,
    last_good_run_id: false,
    size: 0,
    sizes: [],
    next_run_at: false,
    job_ids: [],
    strip: { kinds: "-".repeat(30), counts: {} },
};
const FAILING = {
    failure: { run_id: 55, at: NOW, error: "It is full.", hint: "Free some.", error_code: "no_space" },
};

export function instance(id, name, databases, values = {}) {
    return {
        id,
        name,
        url: "https://odoo.example.com",
        odoo_version: "19.0",
        check_status: "ok",
        check_error: "",
        last_check_at: "2026-06-15 11:00:00",
        jobs: 1,
        databases,
        ...values,
    };
}

export function answer(instances, values = {}) {
    const rows = instances.flatMap((one) => one.databases);
    const count = (state) => rows.filter((row) => row.state === state).length;
    return {
        now: NOW,
        days: DAYS,
        rights: { operator: true, manager: true },
        totals: {
            protected: count("protected"),
            late: count("late"),
            pending: count("pending"),
            unprotected: count("unprotected"),
            absent: count("absent"),
            failing: rows.filter((row) => row.failure).length,
            next_run_at: "2026-06-15 15:00:00",
            bytes: 3_000_000_000,
            copies: 4,
            empty: instances
                .filter((one) => one.databases.every((row) => row.state === "absent"))
                .map((one) => one.name),
            unreachable: instances
                .filter((one) => one.check_status === "error")
                .map((one) => one.name),
            incidents: 0,
        },
        health: [],
        instances,
        destinations: [
            {
                id: 1,
                name: "Vault",
                kind: "Folder",
                check_status: "ok",
                check_error: "",
                copies: 4,
                bytes: 3_000_000_000,
            },
        ],
        active: [],
        running: 0,
        queued: 0,
        ...values,
    };
}

export const SHOP = () =>
    instance(1, "Shop", [
        database(1, "sales"),
        database(2, "stock", LATE),
        database(3, "web", { ...FAILING }),
        database(4, "new", UNPROTECTED),
    ]);

/**
 * Mount the page over a server that answers with what ``load()`` and ``active()`` return.
 *
 * @returns {Promise<Object>} ``tell(ids)``: what the server says on the bus; ``isSubscribed()``
 */
export async function mountOverview(load, active = () => load()) {
    mockDate(NOW, 0);
    onRpc("backup.overview", "load", () => {
        expect.step("load");
        return load();
    });
    onRpc("backup.overview", "active", () => {
        expect.step("active");
        return active();
    });
    let closeWizard;
    mockService("action", {
        doAction(action, options) {
            expect.step(action);
            closeWizard = options?.onClose;
        },
        loadAction(xmlid) {
            return { xml_id: xmlid };
        },
    });
    await makeMockEnv({ config: getDefaultConfig() });
    const callbacks = new Set();
    patchWithCleanup(getService("bus_service"), {
        subscribe(type, callback) {
            return type === "backup_scheduler.runs" ? callbacks.add(callback) : super.subscribe(...arguments);
        },
        unsubscribe(type, callback) {
            return type === "backup_scheduler.runs"
                ? callbacks.delete(callback)
                : super.unsubscribe(...arguments);
        },
    });
    const component = await mountWithCleanup(BackupOverview, {
        props: { action: {} },
        env: getMockEnv(),
    });
    return {
        component,
        closeWizard: () => closeWizard(),
        tell: (ids) => callbacks.forEach((callback) => callback({ ids })),
        isSubscribed: () => callbacks.size > 0,
    };
}

export async function pass(milliseconds) {
    await advanceTime(milliseconds);
    await animationFrame();
}
