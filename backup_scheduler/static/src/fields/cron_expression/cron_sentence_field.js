import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { CharField } from "@web/views/fields/char/char_field";

/**
 * A cron expression in a list or on a card: the sentence that describes it where the record knows
 * one (a question to the server for each row would be too many), else the expression itself. In a
 * list that is edited it is typed.
 */
export class CronSentenceField extends CharField {
    static template = "backup_scheduler.CronSentenceField";
    static props = { ...CharField.props, descriptionField: { type: String, optional: true } };

    get sentence() {
        return this.props.record.data[this.props.descriptionField] || "";
    }

    get title() {
        return this.sentence ? `${this.sentence} (${this.formattedValue})` : this.formattedValue;
    }
}

export const cronSentenceField = {
    component: CronSentenceField,
    displayName: _t("Schedule"),
    supportedTypes: ["char"],
    supportedOptions: [
        {
            label: _t("Description field"),
            name: "description_field",
            type: "field",
            availableTypes: ["char"],
            help: _t("The field that says in words what the expression means."),
        },
    ],
    // The default is shown where the view has it; only who names a field has it loaded.
    fieldDependencies: ({ options }) =>
        options.description_field ? [{ name: options.description_field, type: "char" }] : [],
    extractProps: ({ options, placeholder }) => ({
        placeholder,
        descriptionField: options.description_field || "schedule_description",
    }),
};

for (const view of ["list", "kanban"]) {
    registry.category("fields").add(`${view}.cron_expression`, cronSentenceField);
}
