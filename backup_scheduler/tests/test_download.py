"""Downloads over real HTTP: the bytes, who gets them, and what is written down of it."""

import hashlib
import os
import tempfile
from unittest.mock import patch

from odoo.tests import HttpCase, new_test_user, tagged
from odoo.tools import mute_logger

from .. import engine_call
from ..controllers import download
from ..engine.destinations.local import LocalDestination
from ..models.run import backup_copy
from .common import BackupCase

CONTENT = bytes(range(256)) * 40
PATH = "Shop/sales/2026-11-20T02-00-00Z.zip"
HTTP_LOGGER = "odoo.http"


@tagged("-at_install", "post_install")
class TestDownload(HttpCase, BackupCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.destination.path = folder.name
        self.file = os.path.join(folder.name, PATH)
        os.makedirs(os.path.dirname(self.file))
        with open(self.file, "wb") as file:
            file.write(CONTENT)
        self.archive = self._stored()
        self.copy = self.archive.copy_ids
        self.copy.write(
            {"path": PATH, "size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
        )
        self.messages = len(self.instance.message_ids)
        self._log_in("manager")

    def _log_in(self, group, **values):
        login = f"downloader_{group}_{len(values)}"
        user = new_test_user(self.env, login, f"backup_scheduler.group_backup_{group}", **values)
        self.authenticate(user.login, user.login)
        self.user = user

    def _get(self, **headers):
        answer = self.url_open(f"/backup_scheduler/download/{self.copy.id}", headers=headers)
        self.env.invalidate_all()
        return answer

    def _assert_logged(self, times):
        words = f"{self.user.name} downloaded {PATH} from Vault"
        self.assertEqual((self.archive.log or "").count(words), times)
        told = self.instance.message_ids[: len(self.instance.message_ids) - self.messages]
        self.assertEqual([words in message.body for message in told], [True] * times)

    def _assert_refused(self, status):
        with mute_logger(HTTP_LOGGER):
            answer = self._get()
        self.assertEqual(answer.status_code, status)
        self.assertNotIn(CONTENT, answer.content)
        self._assert_logged(0)

    # --- the bytes ------------------------------------------------------------------------------

    def test_a_manager_gets_the_file_byte_for_byte_and_is_written_down(self):
        with patch.object(backup_copy._logger, "info") as told:
            answer = self._get()
        self.assertIn(f"{self.user.name} downloaded {PATH}", str(told.call_args_list))
        self.assertEqual((answer.status_code, answer.content), (200, CONTENT))
        name = "sales_2026-11-20T02-00-00Z.zip"
        self.assertEqual(answer.headers["Content-Disposition"], f"attachment; filename={name}")
        self._assert_logged(1)

    def test_a_kind_that_is_no_folder_is_streamed_by_a_process_of_its_own(self):
        with patch.object(LocalDestination, "path_of", return_value=None), \
                patch.object(LocalDestination, "read", side_effect=AssertionError):  # fmt: skip
            self._assert_streamed()

    def test_hosts_that_forbid_processes_stream_it_in_the_thread(self):
        self.env["ir.config_parameter"].set_param("backup_scheduler.executor", "inline")
        with patch.object(LocalDestination, "path_of", return_value=None), \
                patch.object(LocalDestination, "read", self._read_in_one_buffer), \
                patch.object(engine_call, "EngineProcess", side_effect=AssertionError):  # fmt: skip
            self._assert_streamed()

    def _assert_streamed(self):
        answer = self._get()
        self.assertEqual((answer.status_code, answer.content), (200, CONTENT))
        self.assertEqual(answer.headers["Content-Length"], str(len(CONTENT)))
        self.assertIn("sales_2026-11-20", answer.headers["Content-Disposition"])
        self._assert_logged(1)

    @staticmethod
    def _read_in_one_buffer(_destination, _path):
        """Yield blocks that are only good until the next one, as the contract of kinds allows."""
        buffer = bytearray(1000)
        for start in range(0, len(CONTENT), len(buffer)):
            block = CONTENT[start : start + len(buffer)]
            buffer[: len(block)] = block
            yield memoryview(buffer)[: len(block)]

    def test_a_download_that_is_given_up_leaves_no_process(self):
        made, start = [], engine_call.EngineProcess

        def noted(*arguments):
            made.append(start(*arguments))
            return made[-1]

        with open(self.file, "ab") as file:
            # More than what a pipe holds.
            file.truncate(20_000_000)
        with patch.object(engine_call, "EngineProcess", noted):
            blocks = engine_call.handed_out(self.copy._engine_orders()[0], self.fail)
            self.assertTrue(next(blocks).startswith(CONTENT))
            blocks.close()
        self.assertIsNotNone(made[0]._process.returncode)

    def test_what_the_destination_renews_while_it_is_read_is_stored(self):
        renewed = {"id": self.copy.id, "changed_settings": {"reserve": 7}}

        start = engine_call.EngineProcess

        def renewing(order, deliver, *arguments):
            def deliver_both(event):
                if event["event"] in engine_call.LAST_WORDS:
                    deliver({"event": "renewed", **renewed})
                deliver(event)

            return start(order, deliver_both, *arguments)

        with patch.object(LocalDestination, "path_of", return_value=None), \
                patch.object(engine_call, "EngineProcess", renewing):  # fmt: skip
            # The request is over by then, and no cursor of a test can be opened.
            with patch.object(download, "_keep_renewed") as keep:
                self._assert_streamed()
            order, kept = self.copy._engine_orders()[0], []
            blocks = engine_call.handed_out(order, kept.append)
            next(blocks)
            blocks.close()
            self.assertEqual(len(kept), 1, "given up")
            os.unlink(self.file)
            with self.assertRaises(engine_call.EngineFailed):
                next(engine_call.handed_out(order, kept.append))
            self.assertEqual(len(kept), 2, "failed")
        keep.assert_called_once_with(self.env.registry, {"event": "renewed", **renewed})
        download._keep_renewed(*keep.call_args.args)
        self.env.invalidate_all()
        names = {setting.name: name for name, setting in self.destination._settings_of("local")}
        self.assertEqual(self.destination[names["reserve"]], 7)

    # --- who took how much of it ----------------------------------------------------------------

    def test_whatever_begins_at_the_beginning_is_written_down(self):
        size = len(CONTENT)
        for times, asked in enumerate(("bytes=0-", "bytes=0-9", f"bytes=-{size}"), 1):
            with self.subTest(asked):
                self.assertEqual(self._get(Range=asked).status_code, 206)
                self._assert_logged(times)

    def test_the_rest_of_a_download_that_broke_is_not_written_down_again(self):
        self._get(Range="bytes=0-99")
        answer = self._get(Range="bytes=100-")
        self.assertEqual((answer.status_code, answer.content), (206, CONTENT[100:]))
        self._assert_logged(1)

    def test_all_but_the_first_byte_is_a_download_too(self):
        self.assertEqual(self._get(Range="bytes=1-").content, CONTENT[1:])
        self._assert_logged(1)

    def test_each_request_is_in_the_log_of_odoo(self):
        with patch.object(backup_copy._logger, "info") as told:
            for start in range(0, 500, 100):
                self._get(Range=f"bytes={start}-{start + 99}")
        requests = [call.args for call in told.call_args_list if "request" in call.args[0]]
        self.assertEqual([args[1:3] for args in requests], [(100, at) for at in range(0, 500, 100)])
        self.assertEqual({args[4] for args in requests}, {self.user.login})
        self._assert_logged(1)

    def test_more_than_the_archive_is_another_download(self):
        self._get(Range="bytes=0-99")
        for times in (1, 2, 3):
            self.assertEqual(self._get(Range="bytes=100-").content, CONTENT[100:])
            self._assert_logged(times)

    def test_the_rest_on_another_day_or_at_another_address_is_another_download(self):
        self._get(Range="bytes=0-99")
        with patch.object(download, "LIFETIME", 0):
            self._get(Range="bytes=100-199")
        self._assert_logged(2)
        self._get(Range="bytes=200-299")
        self._assert_logged(2)
        with patch.object(download.BackupDownload, "_address", return_value="192.0.2.7"):
            self._get(Range="bytes=300-399")
        self._assert_logged(3)

    def test_a_range_that_gives_the_whole_file_is_written_down(self):
        self._get()
        stale = {"Range": "bytes=100-", "If-Range": '"another-archive"'}
        self.assertEqual(self._get(**stale).content, CONTENT)
        self._assert_logged(2)

    # --- who gets nothing -----------------------------------------------------------------------

    def test_those_who_may_only_look_or_operate_get_nothing(self):
        for group in ("user", "operator"):
            with self.subTest(group):
                self._log_in(group)
                self._assert_refused(403)

    def test_a_manager_of_another_company_gets_nothing(self):
        self.instance.company_id = self.env.company
        other = self.env["res.company"].create({"name": "Other"})
        self._log_in("manager", company_id=other.id, company_ids=[(6, 0, other.ids)])
        self._assert_refused(403)

    def test_nobody_gets_anything_without_logging_in(self):
        self.authenticate(None, None)
        answer = self.url_open(f"/backup_scheduler/download/{self.copy.id}", allow_redirects=False)
        self.assertIn("/web/login", answer.headers["Location"])
        self.assertNotIn(CONTENT, answer.content)

    def test_a_copy_that_is_not_stored_is_not_there(self):
        for status in ("pending", "uploading", "failed", "deleted"):
            with self.subTest(status):
                self.copy.status = status
                self._assert_refused(404)

    def test_a_name_with_a_line_break_is_sent_as_one_line(self):
        odd = f"Shop/sales/a\r\nX-Evil: 1\x1b;“.zip{'x' * 100}"
        os.rename(self.file, os.path.join(os.path.dirname(self.file), os.path.basename(odd)))
        self.copy.path = odd
        self.archive.database_name = "a\nb"
        for path_of in (LocalDestination.path_of, lambda *_arguments: None):
            with patch.object(LocalDestination, "path_of", path_of):
                answer = self._get()
            self.assertEqual((answer.status_code, answer.content), (200, CONTENT))
            self.assertNotIn("X-Evil", answer.headers)
            self.assertRegex(answer.headers["Content-Disposition"], r"^attachment; filename")

    def test_an_id_beyond_any_is_not_there(self):
        with mute_logger(HTTP_LOGGER):
            answer = self.url_open(f"/backup_scheduler/download/{2**63}")
        self.assertEqual(answer.status_code, 404)

    def test_a_copy_that_never_was_is_not_there(self):
        with mute_logger(HTTP_LOGGER):
            answer = self.url_open(f"/backup_scheduler/download/{self.copy.id + 1000}")
        self.assertEqual(answer.status_code, 404)

    def test_a_file_that_is_gone_says_so_and_is_no_download(self):
        os.unlink(self.file)
        self._assert_refused(503)

    def test_a_destination_that_is_away_says_so_before_the_first_byte(self):
        os.unlink(self.file)
        for executor in ("process", "inline"):
            self.env["ir.config_parameter"].set_param("backup_scheduler.executor", executor)
            with self.subTest(executor), \
                    patch.object(LocalDestination, "path_of", return_value=None):  # fmt: skip
                self._assert_refused(503)
