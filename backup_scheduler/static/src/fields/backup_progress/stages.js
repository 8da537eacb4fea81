import { _t } from "@web/core/l10n/translation";

/** What a run, or the work on its archive, is at, in words; by the keys of `backup.run.stage`. */
const STAGE_NAMES = {
    connect: _t("Connecting"),
    download: _t("Downloading"),
    verify: _t("Verifying"),
    store: _t("Storing"),
    publish: _t("Storing"),
    read: _t("Reading"),
    decrypt: _t("Decrypting"),
    restore: _t("Restoring"),
    check: _t("Checking"),
};

/**
 * @param {string|false} stage
 * @returns {string} empty for none
 */
export function stageName(stage) {
    return stage ? String(STAGE_NAMES[stage] || stage) : "";
}
