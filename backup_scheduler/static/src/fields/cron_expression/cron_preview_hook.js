import { _t } from "@web/core/l10n/translation";
import { ConnectionLostError, RPCError } from "@web/core/network/rpc";
import { useService } from "@web/core/utils/hooks";
import { useDebounced } from "@web/core/utils/timing";

import { useState } from "@odoo/owl";

import { FIELD_NAMES } from "./cron_shapes";

export const PREVIEW_COUNT = 5;
export const PREVIEW_DELAY = 300; // ms after the last key
// What the server refuses because of what was typed; anything else is a failure of the server.
const REFUSALS = ["odoo.exceptions.ValidationError", "odoo.exceptions.UserError"];

/**
 * Take the sentence of the server apart: `hour: 24 is outside 0-23`.
 *
 * @returns {{message: string, field: number}} what people read, and the index of the field, -1
 *  where it is none of the five
 */
export function readComplaint(message) {
    // What is wrong with the whole needs no name: it stands below it.
    const said = message.replace(/^expression: /, "").replace(/^timezone:/, "time zone:");
    return {
        message: said.charAt(0).toUpperCase() + said.slice(1),
        field: FIELD_NAMES.indexOf(message.split(":")[0]),
    };
}

function describeFailure(error) {
    if (error instanceof RPCError && REFUSALS.includes(error.exceptionName)) {
        return { kind: "invalid", ...readComplaint(error.data?.message || error.message) };
    }
    if (error instanceof ConnectionLostError) {
        return { kind: "failed", message: _t("The server does not answer.") };
    }
    const reason = error?.data?.message || error?.message || String(error);
    return { kind: "failed", message: _t("The next runs are not known: %s", reason) };
}

/**
 * Ask the server what an expression means. Only the answer to the last question counts, and no
 * answer ever opens a dialog.
 *
 * @returns {{state: Object, ask: Function, askSoon: Function, retry: Function}} state:
 *  `loading`, and `answer`: nothing yet, or its `kind`: `runs` (with `description`, `runs`: ISO 8601
 *  texts, `timezone`), `invalid` (with `message`, `field`) or `failed` (with `message`)
 */
export function useCronPreview() {
    const orm = useService("orm");
    const state = useState({ loading: false, answer: null });
    let question = 0;
    let defaultTimezone = "";

    async function load(expression, timezone) {
        if (!timezone && !defaultTimezone) {
            defaultTimezone = await orm.silent.call("backup.job", "default_timezone", []);
        }
        const parameters = [expression, timezone || false, PREVIEW_COUNT];
        const preview = await orm.silent.call("backup.job", "preview_cron", parameters);
        return {
            kind: "runs",
            description: preview.description,
            runs: preview.next_runs,
            timezone: timezone || defaultTimezone,
        };
    }

    async function answer(number, ...asked) {
        const found = await load(...asked).catch(describeFailure);
        if (number === question) {
            Object.assign(state, { loading: false, answer: found });
        }
    }
    const answerSoon = useDebounced(answer, PREVIEW_DELAY);

    let last = [];
    function next(asked) {
        last = asked;
        state.loading = true;
        // What is on its way answers an older question from now on.
        return ++question;
    }
    return {
        state,
        ask(...asked) {
            answerSoon.cancel();
            answer(next(asked), ...asked);
        },
        askSoon(...asked) {
            answerSoon(next(asked), ...asked);
        },
        retry() {
            this.ask(...last);
        },
    };
}
