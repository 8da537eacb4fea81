import { registry } from "@web/core/registry";

const OPEN_JOB = {
    trigger: ".o_data_row:contains(Nightly)",
    run: "click .o_data_cell[name=name]",
};
const RIBBON = ".o_widget_web_ribbon .ribbon:contains(Paused)";

registry.category("web_tour.tours").add("backup_pause_job", {
    steps: () => [
        OPEN_JOB,
        {
            content: "It tells when it fires next",
            trigger: ".o_form_view .o_field_widget[name=next_run_at]",
        },
        {
            trigger: ".o_form_view button[name=action_pause]",
            run: "click",
        },
        { trigger: `.o_form_view ${RIBBON}` },
        { trigger: ".o_form_view:not(:has(.o_field_widget[name=next_run_at]:visible))" },
        { trigger: ".o_form_view button[name=action_resume]" },
    ],
});

registry.category("web_tour.tours").add("backup_resume_job", {
    steps: () => [
        OPEN_JOB,
        { trigger: `.o_form_view ${RIBBON}` },
        {
            trigger: ".o_form_view button[name=action_resume]",
            run: "click",
        },
        { trigger: `.o_form_view:not(:has(${RIBBON}))` },
        { trigger: ".o_form_view .o_field_widget[name=next_run_at]" },
        { trigger: ".o_form_view button[name=action_pause]" },
    ],
});
