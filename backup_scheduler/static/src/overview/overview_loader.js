import { browser } from "@web/core/browser/browser";
import { deserializeDateTime } from "@web/core/l10n/dates";
import { useBus, useService } from "@web/core/utils/hooks";

import { onWillDestroy, onWillStart, status, useComponent, useExternalListener, useState } from "@odoo/owl";

import { activeKey, sortWorstFirst } from "./overview_rules";

const { DateTime } = luxon;

// Milliseconds. Not more often than this, nor for more than a third of the time.
export const RELOAD_PAUSE = 2000;
const LOAD_SHARE = 3;
const MINUTE = 60 * 1000;
// What changes without a run (a database that becomes late is looked for each minute).
const RELOAD_INTERVAL = 5 * MINUTE;

/**
 * Keeps what the overview shows up to date: whenever the server says that runs changed, and each
 * minute for the ages and for what goes on. Nothing is asked while nobody looks. A reload that
 * fails leaves what is shown, and says so in ``failed``.
 */
class OverviewLoader {
    constructor(component, orm) {
        this.component = component;
        this.orm = orm;
        this.page = null;
        this.active = new Map();
        this.running = 0;
        this.queued = 0;
        this.failed = "";
        this.now = DateTime.now();
        this.loadedAt = 0;
    }

    /** Not part of what is shown: none of it makes the page be drawn again. */
    static hidden() {
        return { timer: 0, changed: new Set(), clock: 0, cost: 0, loading: null, again: false };
    }

    // --- asking -----------------------------------------------------------------------------

    async load() {
        const hidden = this.hidden;
        if (hidden.loading) {
            hidden.again = true;
            return hidden.loading;
        }
        hidden.changed.clear();
        hidden.loading = this.ask("load", (page) => this.show(page));
        await hidden.loading;
        hidden.loading = null;
        if (hidden.again) {
            hidden.again = false;
            this.planRefresh();
        }
    }

    /** Ask for what goes on only; for all of it when something began or ended. */
    async refresh() {
        const hidden = this.hidden;
        const changed = new Set(hidden.changed);
        hidden.changed.clear();
        const before = this.activeIds();
        const count = this.running + this.queued;
        let light = false;
        await this.ask("active", (answer) => {
            const ids = answer.active.map((run) => run.id);
            light =
                ids.length === before.size &&
                ids.every((id) => before.has(id)) &&
                answer.running + answer.queued === count &&
                [...changed].every((id) => before.has(id));
            if (light) {
                this.showActive(answer);
            }
        });
        if (!light && !this.failed) {
            await this.load();
        }
    }

    async ask(method, show) {
        const began = Date.now();
        try {
            const answer = await this.orm.silent.call("backup.overview", method, []);
            if (status(this.component) !== "destroyed") {
                this.failed = "";
                show(answer);
            }
        } catch (error) {
            if (status(this.component) !== "destroyed") {
                this.failed = error.data?.message || error.message || String(error);
            }
        }
        this.hidden.cost = Date.now() - began;
        this.hidden.askedAt = Date.now();
    }

    // --- showing ----------------------------------------------------------------------------

    show(page) {
        sortWorstFirst(page.instances);
        // Ages are told by the server's clock.
        this.hidden.clock = deserializeDateTime(page.now).toMillis() - Date.now();
        this.loadedAt = Date.now();
        this.page = page;
        this.showActive(page);
        this.tick();
    }

    showActive({ active, running, queued }) {
        this.active = new Map(
            active.map((run) => [activeKey(run.instance_id, run.database), run])
        );
        this.running = running;
        this.queued = queued;
    }

    activeIds() {
        return new Set([...this.active.values()].map((run) => run.id));
    }

    tick() {
        this.now = DateTime.now().plus(this.hidden.clock);
    }

    // --- when -------------------------------------------------------------------------------

    onRuns({ ids }) {
        for (const id of ids || []) {
            this.hidden.changed.add(id);
        }
        if (!document.hidden) {
            this.planRefresh();
        }
    }

    /** Refresh soon: what is told meanwhile comes with it, however often it is told. */
    planRefresh() {
        const hidden = this.hidden;
        if (hidden.timer) {
            return;
        }
        const pause = Math.max(RELOAD_PAUSE, LOAD_SHARE * hidden.cost);
        const wait = Math.max(0, (hidden.askedAt || 0) + pause - Date.now());
        hidden.timer = browser.setTimeout(() => {
            hidden.timer = 0;
            this.refresh();
        }, wait);
    }

    onMinute() {
        if (document.hidden) {
            return;
        }
        this.tick();
        if (this.failed || Date.now() - this.loadedAt >= RELOAD_INTERVAL || this.becameLate()) {
            this.load();
        } else if (this.running + this.queued) {
            // A proxy may let no websocket through, by which it would be told.
            this.planRefresh();
        }
    }

    becameLate() {
        const covered = ["protected", "pending"];
        return (this.page?.instances || []).some((instance) =>
            instance.databases.some(
                (row) => covered.includes(row.state) && deserializeDateTime(row.late_at) < this.now
            )
        );
    }

    onVisibility() {
        if (document.hidden) {
            return;
        }
        this.tick();
        if (this.hidden.changed.size || Date.now() - this.loadedAt >= MINUTE) {
            this.load();
        }
    }

    stop() {
        browser.clearTimeout(this.hidden.timer);
    }
}

/**
 * @returns {OverviewLoader} reactive: ``page`` (the server's answer, worst first), ``active`` (what
 *  goes on, by database), ``running``, ``queued``, ``now``, ``failed``; ``load()`` asks for all
 */
export function useOverviewLoader() {
    const bus = useService("bus_service");
    const source = new OverviewLoader(useComponent(), useService("orm"));
    Object.defineProperty(source, "hidden", { value: OverviewLoader.hidden() });
    const loader = useState(source);
    const onRuns = (payload) => loader.onRuns(payload);
    bus.subscribe("backup_scheduler.runs", onRuns);
    const interval = browser.setInterval(() => loader.onMinute(), MINUTE);
    useExternalListener(document, "visibilitychange", () => loader.onVisibility());
    onWillStart(() => loader.load());
    onWillDestroy(() => {
        bus.unsubscribe("backup_scheduler.runs", onRuns);
        browser.clearInterval(interval);
        loader.stop();
    });
    return loader;
}
