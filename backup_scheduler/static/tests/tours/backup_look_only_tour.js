import { registry } from "@web/core/registry";

/** What a form has of these buttons, nobody who only looks may press. */
const without = (...names) =>
    `.o_form_view:not(:has(${names.map((name) => `button[name=${name}]`).join(", ")}))`;
const MENU = (name) => ({
    trigger: `.o_main_navbar [data-menu-xmlid='backup_scheduler.${name}']`,
    run: "click",
});
const OPEN_FIRST = {
    trigger: ".o_list_view .o_data_row:first .o_data_cell:first",
    run: "click",
};

registry.category("web_tour.tours").add("backup_look_only", {
    steps: () => [
        {
            content: "The runs are there to be looked at",
            trigger: ".o_list_view .o_data_row:contains(sales)",
        },
        {
            content: "The settings are not theirs",
            trigger:
                ".o_main_navbar:not(:has([data-menu-xmlid='backup_scheduler.menu_configuration']))",
        },
        OPEN_FIRST,
        { trigger: ".o_form_view .o_field_widget[name=error]:contains(It did not work.)" },
        {
            content: "A run can be read, and nothing can be done with it",
            trigger: without(
                "retry",
                "cancel",
                "pin",
                "unpin",
                "verify",
                "action_restore",
                "action_delete_archives",
                "action_download"
            ),
        },
        MENU("menu_jobs"),
        {
            content: "No job can be made",
            trigger: ".o_list_view:not(:has(.o_list_button_add)) .o_data_row:contains(Nightly)",
        },
        {
            content: "The switch of a job tells its state, and cannot be moved",
            trigger: ".o_data_row .o_field_widget[name=enabled] input:checked:disabled",
        },
        OPEN_FIRST,
        {
            content: "A job can be read, not changed and not started",
            trigger: `${without("action_run_now", "action_pause", "action_resume")} .o_form_readonly .o_field_widget[name=cron_expression]`,
        },
        { trigger: ".o_form_view:not(:has(.o_form_button_create)):not(:has(.o_form_button_save))" },
    ],
});
