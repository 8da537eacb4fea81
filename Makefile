# Every command does the set-up it needs. Everything lies in .dev; ODOO=path uses your own Odoo 19.
export ODOO PYTHON PORT ONLY CHAOS_ROUNDS CHAOS_SEED FUZZ_EXAMPLES

help:
	@echo "make demo    back up a real Odoo server, by hand and on schedule, verify and restore it"
	@echo "make run     the demo's two servers left running (PORT=8069)"
	@echo "make test    all tests (ONLY=engine|addon|e2e)"
	@echo "make chaos   30 rounds of killing everything (CHAOS_ROUNDS=n, CHAOS_SEED=n repeats one)"
	@echo "make fuzz    hostile inputs for every parser (FUZZ_EXAMPLES=n for each)"
	@echo "make corpus  what each level of verification finds in damaged backups"
	@echo "make lint    ruff and pylint-odoo"
	@echo "make screenshots  the pictures of the documentation, from real runs"
	@echo "make i18n    the template of the translations"
	@echo "make clean   end what runs and delete .dev"

demo run test chaos corpus fuzz lint screenshots i18n clean:
	@sh tools/bootstrap.sh $@

.PHONY: help demo run test chaos corpus fuzz lint screenshots i18n clean
