"""Which types of remotes an rclone configuration may have here, and which options of each.

A user who may enter a configuration may not necessarily run programs on this server, read
its files, or use the identity that it has at a cloud. rclone has options for all of that, and gets
new ones: so everything is refused that is not named here. The lists come from
``rclone config providers``; a test compares them with the installed program, where an option that
is neither allowed nor refused fails it.
"""

OAUTH = "client_id client_secret token auth_url token_url client_credentials"

# By the prefix of the type, without the options that every type has (EVERY).
TYPES = {
    "azureblob": "account key sas_url use_emulator endpoint upload_cutoff chunk_size "
    "upload_concurrency list_chunk access_tier archive_tier_delete disable_checksum "
    "memory_pool_flush_time memory_pool_use_mmap public_access no_head_object tenant client_id "
    "client_secret username password client_send_certificate_chain delete_snapshots "
    "directory_markers disable_instance_discovery copy_cutoff copy_concurrency use_copy_blob "
    "copy_total_concurrency no_check_container connection_string",
    "azurefiles": "account key sas_url connection_string share_name endpoint tenant client_id "
    "client_secret username password chunk_size upload_concurrency max_stream_size "
    "disable_instance_discovery",
    "b2": "account key endpoint test_mode versions version_at hard_delete upload_cutoff "
    "copy_cutoff chunk_size disable_checksum download_url download_auth_duration "
    "memory_pool_flush_time memory_pool_use_mmap upload_concurrency lifecycle",
    "box": f"{OAUTH} root_folder_id access_token box_sub_type upload_cutoff commit_retries "
    "list_chunk owned_by impersonate config_credentials",
    "drive": f"{OAUTH} scope root_folder_id service_account_credentials team_drive "
    "auth_owner_only use_trash copy_shortcut_content skip_gdocs show_all_gdocs "
    "skip_checksum_gphotos shared_with_me trashed_only starred_only formats export_formats "
    "import_formats allow_import_name_change use_created_date use_shared_date list_chunk "
    "impersonate alternate_export upload_cutoff chunk_size acknowledge_abuse "
    "keep_revision_forever size_as_quota v2_download_min_size pacer_min_sleep pacer_burst "
    "server_side_across_configs disable_http2 stop_on_upload_limit stop_on_download_limit "
    "skip_shortcuts skip_dangling_shortcuts resource_key fast_list_bug_fix metadata_owner "
    "metadata_permissions metadata_labels",
    "dropbox": f"{OAUTH} chunk_size impersonate shared_files shared_folders batch_mode batch_size "
    "batch_timeout batch_commit_timeout pacer_min_sleep root_namespace",
    "fichier": "api_key shared_folder file_password folder_password cdn",
    "filefabric": "url root_folder_id permanent_token token token_expiry version",
    "ftp": "host user port pass tls explicit_tls concurrency no_check_certificate disable_epsv "
    "disable_mlsd disable_utf8 writing_mdtm force_list_hidden idle_timeout close_timeout "
    "tls_cache_size disable_tls13 shut_timeout no_check_upload allow_insecure_tls_ciphers",
    "gcs": f"{OAUTH} project_number service_account_credentials anonymous object_acl bucket_acl "
    "bucket_policy_only location storage_class no_check_bucket decompress endpoint access_token "
    "user_project directory_markers",
    "hidrive": f"{OAUTH} scope_access scope_role root_prefix endpoint "
    "disable_fetching_member_count chunk_size upload_cutoff upload_concurrency",
    "internetarchive": "access_key_id secret_access_key endpoint front_endpoint disable_checksum "
    "wait_archive item_metadata item_derive",
    # Its configuration writes options that it does not declare.
    "jottacloud": "md5_memory_limit trashed_only hard_delete upload_resume_limit no_versions "
    "token tokenURL client_id client_secret configVersion username device mountpoint auth_code "
    "auth_url token_url client_credentials",
    "koofr": "provider endpoint mountid setmtime user password",
    "mailru": "user pass speedup_enable speedup_file_patterns speedup_max_disk "
    f"speedup_max_memory check_hash user_agent quirks {OAUTH}",
    "mega": "user pass debug hard_delete use_https 2fa session_id master_key",
    "netstorage": "protocol host account secret",
    "onedrive": f"{OAUTH} region chunk_size drive_id drive_type root_folder_id access_scopes "
    "disable_site_permission expose_onenote_files server_side_across_configs list_chunk "
    "no_versions link_scope link_type link_password hash_type av_override delta hard_delete "
    "metadata_permissions tenant upload_cutoff",
    "opendrive": "username password chunk_size access",
    "pcloud": f"{OAUTH} root_folder_id hostname username password",
    "premiumizeme": f"api_key {OAUTH}",
    "protondrive": "username password mailbox_password 2fa client_uid client_access_token "
    "client_refresh_token client_salted_key_pass original_file_size app_version "
    "replace_existing_draft enable_caching otp_secret_key",
    "putio": OAUTH,
    "s3": "provider access_key_id secret_access_key region endpoint location_constraint acl "
    "bucket_acl requester_pays server_side_encryption sse_customer_algorithm sse_kms_key_id "
    "sse_customer_key sse_customer_key_base64 sse_customer_key_md5 storage_class upload_cutoff "
    "chunk_size max_upload_parts copy_cutoff disable_checksum session_token upload_concurrency "
    "force_path_style v2_auth use_accelerate_endpoint leave_parts_on_error list_chunk "
    "list_version list_url_encode no_check_bucket no_head no_head_object memory_pool_flush_time "
    "memory_pool_use_mmap disable_http2 download_url use_multipart_etag use_presigned_request "
    "versions version_at version_deleted decompress might_gzip no_system_metadata "
    "use_already_exists use_multipart_uploads use_unsigned_payload use_dual_stack "
    "use_data_integrity_protections directory_markers directory_bucket sign_accept_encoding "
    "use_arn_region use_accept_encoding_gzip use_x_id ibm_api_key ibm_resource_instance_id",
    "seafile": "url user pass 2fa library library_key create_library auth_token",
    "sftp": "host user port pass key_pem key_file_pass use_insecure_cipher disable_hashcheck "
    "path_override set_modtime shell_type skip_links subsystem use_fstat "
    "disable_concurrent_reads disable_concurrent_writes idle_timeout chunk_size concurrency "
    "connections ciphers key_exchange macs host_key_algorithms copy_is_hardlink pubkey",
    "sharefile": f"{OAUTH} upload_cutoff root_folder_id chunk_size endpoint",
    "sia": "api_url api_password user_agent",
    "smb": "host user port pass domain spn idle_timeout hide_special_share case_insensitive",
    "storj": "provider access_grant satellite_address api_key passphrase",
    "sugarsync": "app_id access_key_id private_access_key hard_delete refresh_token authorization "
    "authorization_expiry user root_id deleted_id",
    "swift": "user key auth user_id domain tenant tenant_id tenant_domain region storage_url "
    "auth_token application_credential_id application_credential_name "
    "application_credential_secret auth_version endpoint_type leave_parts_on_error "
    "storage_policy chunk_size no_chunk no_large_objects use_segments_container "
    "fetch_until_empty_page partial_page_fetch_threshold",
    "uptobox": "access_token private",
    "webdav": "url vendor user pass bearer_token headers pacer_min_sleep nextcloud_chunk_size "
    "owncloud_exclude_shares owncloud_exclude_mounts auth_redirect",
    "yandex": f"{OAUTH} hard_delete spoof_ua",
    "zoho": f"{OAUTH} region upload_cutoff",
    # Remotes that are made of others (see WRAPPERS).
    "alias": "remote",
    "chunker": "remote chunk_size name_format start_from meta_format hash_type fail_hard "
    "transactions",
    "combine": "upstreams",
    "compress": "remote mode level ram_cache_limit",
    "crypt": "remote filename_encryption directory_name_encryption password password2 "
    "server_side_across_configs show_mapping no_data_encryption filename_encoding pass_bad_blocks "
    "strict_names suffix",
    "hasher": "remote hashes max_age auto_size",
    "union": "upstreams action_policy create_policy search_policy cache_time min_free_space",
}
EVERY = "type encoding description"

# rclone knows a type by its name too, and by that without spaces.
NAMES = {"google cloud storage": "gcs", "googlecloudstorage": "gcs"}

# By the option that says of which other remotes a remote is made.
WRAPPERS = ("remote", "upstreams")

# Options of a remote server that rclone itself adds when it has looked what that can do: they are
# not given to it again, and it looks again.
IGNORED = frozenset({"md5sum_command", "sha1sum_command"})

# What the installed program has beyond all that, with the reason why it is not allowed here.
# Files and programs of this machine, its environment, its identity at a cloud, its agent for keys.
REFUSED = frozenset((
    "ask_password", "bearer_token_command", "box_config_file", "client_certificate_password",
    "client_certificate_path", "config_file", "config_profile", "env_auth", "http_proxy",
    "kerberos_ccache", "key_file", "key_use_agent", "known_hosts_file", "msi_client_id",
    "msi_mi_res_id", "msi_object_id", "profile", "pubkey_file", "server_command",
    "service_account_file", "service_principal_file", "set_env", "shared_credentials_file",
    "socks_proxy", "ssh", "unix_socket", "use_az", "use_kerberos", "use_msi",
))  # fmt: skip
UNSUPPORTED = {
    "acd": "the service was switched off",
    "cache": "it keeps archives in files of this machine",
    "gphotos": "it stores pictures only",
    "hdfs": "its logins are files of this machine",
    "http": "nothing can be stored there",
    "local": "it is this machine itself",
    "memory": "it stores nothing",
    "oos": "its logins are files of this machine",
    "tardigrade": "it is storj by its former name",
}


def type_of(options):
    """Return the type of a remote, by its prefix; empty where it is none that may be used."""
    name = options.get("type", "")
    name = NAMES.get(name, name)
    return name if name in TYPES else ""


def allowed(name):
    """Return the options that remotes of a type may have."""
    return {*TYPES[name].split(), *EVERY.split(), *IGNORED}
