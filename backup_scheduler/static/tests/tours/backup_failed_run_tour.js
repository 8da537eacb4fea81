import { registry } from "@web/core/registry";

registry.category("web_tour.tours").add("backup_failed_run", {
    steps: () => [
        {
            content: "The list says in a line why the run failed",
            trigger: ".o_data_row:contains(sales):contains(It did not work.)",
            run: "click .o_data_cell[name=database_name]",
        },
        {
            content: "The run says what happened",
            trigger: ".o_form_view .o_field_widget[name=error]:contains(It did not work.)",
        },
        {
            content: "... and what to do about it",
            trigger: ".o_form_view .o_field_widget[name=hint]:contains(Mend it.)",
        },
        {
            trigger: ".o_form_view button[name=retry]",
            run: "click",
        },
        {
            content: "It waits for its turn: it can be cancelled, and not be tried again",
            trigger: ".o_form_view button[name=cancel]",
        },
        { trigger: ".o_form_view:not(:has(button[name=retry]:visible))" },
    ],
});
