import { browser } from "@web/core/browser/browser";
import { useService } from "@web/core/utils/hooks";

import { onMounted, onWillUnmount, status, useComponent } from "@odoo/owl";

export const NOTIFICATION = "backup_scheduler.runs";
// Milliseconds. What changes together is read once, and a screen never more often than this.
export const DEBOUNCE = 500;
export const SHORTEST_PAUSE = 2000;
// With nothing heard for so long, a screen that shows runs at work looks by itself: a proxy may let
// no websocket through.
export const POLL = 10000;

/**
 * Keep what a component shows of runs as it is on the server, while it is mounted.
 *
 * @param {Object} screen
 * @param {() => Promise} screen.reload
 * @param {(ids: number[]) => boolean} [screen.concerns] whether changes of these runs are seen here
 * @param {() => boolean} [screen.isBusy] whether reloading now would take something from somebody,
 *  such as a selection: then it is done when it no longer would
 * @param {() => boolean} [screen.isActive] whether something that is shown is at work
 */
export function useLiveRuns({
    reload,
    concerns = () => true,
    isBusy = () => false,
    isActive = () => false,
}) {
    const component = useComponent();
    const bus = useService("bus_service");
    let timer, poll;
    let isReloading = false;
    let reloadedAt = Date.now();
    let hasHeard = false;

    const plan = (delay = DEBOUNCE) => {
        if (timer || status(component) !== "mounted") {
            return;
        }
        const wait = Math.max(delay, reloadedAt + SHORTEST_PAUSE - Date.now());
        timer = browser.setTimeout(attempt, wait);
    };

    const attempt = async () => {
        timer = undefined;
        if (isReloading || document.hidden || isBusy()) {
            plan(SHORTEST_PAUSE);
            return;
        }
        isReloading = true;
        try {
            await reload();
        } finally {
            isReloading = false;
            reloadedAt = Date.now();
        }
    };

    const onRunsChanged = ({ ids }) => {
        hasHeard = true;
        if (concerns(ids)) {
            plan();
        }
    };

    onMounted(() => {
        bus.subscribe(NOTIFICATION, onRunsChanged);
        poll = browser.setInterval(() => {
            if (!hasHeard && isActive()) {
                plan(0);
            }
            hasHeard = false;
        }, POLL);
    });
    onWillUnmount(() => {
        bus.unsubscribe(NOTIFICATION, onRunsChanged);
        browser.clearTimeout(timer);
        browser.clearInterval(poll);
    });
}
