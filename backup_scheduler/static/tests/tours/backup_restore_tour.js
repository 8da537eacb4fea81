import { registry } from "@web/core/registry";

registry.category("web_tour.tours").add("backup_restore", {
    steps: () => [
        {
            trigger: ".o_form_view button[name=action_restore]",
            run: "click",
        },
        {
            content: "It proposes where to, under a name that is free",
            trigger: ".modal .o_field_widget[name=instance_id] input:value(Shop)",
        },
        {
            trigger: ".modal .o_field_widget[name=database_name] input",
            run: "edit sales-back",
        },
        {
            content: "Nothing in the restored database acts by itself, unless it is told to",
            trigger: ".modal .o_field_widget[name=neutralize] input:checked",
        },
        {
            trigger: ".modal button[name=action_restore]",
            run: "click",
        },
        {
            content: "The restore is shown",
            trigger: "body:not(:has(.modal)) .o_form_view .o_field_widget[name=database_name]:contains(sales-back)",
        },
    ],
});
