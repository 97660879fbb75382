# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mcpd_global_optspecs
    string join \n config= h/help V/version
end

function __fish_mcpd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mcpd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mcpd_using_subcommand
    set -l cmd (__fish_mcpd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mcpd -n "__fish_mcpd_needs_command" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_needs_command" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_needs_command" -s V -l version -d 'Print version'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "serve" -d 'Answer requests until told to stop'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "check" -d 'Read the configuration and say whether it can be used'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "status" -d 'Tell how the running daemon is: upstreams, keys, database'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "keys" -d 'Make, list, change, rotate, revoke and delete keys, and see how they are used'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "usage" -d 'Tell what was used, or prove that it adds up'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "explain" -d 'Tell why a request was refused, or whether one would be'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "alerts" -d 'List what is unusual, and what watches for it'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "audit" -d 'List who changed what, prove that nothing is missing, or write it all out'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "contexts" -d 'List the conversations that clients have stored, and delete them'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "files" -d 'List the files that clients have stored, and delete them'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "dashboard" -d 'Print a link that signs in to the dashboard, once'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "metrics" -d 'Print the metrics, as Prometheus reads them'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "backup" -d 'Copy the running daemon\'s database to a file'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "restore" -d 'Put a backup in the place of the database, while mcpd is stopped'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "completions" -d 'Print what a shell reads to complete commands'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "man" -d 'Print the manual page, as roff'
complete -c mcpd -n "__fish_mcpd_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand serve" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand serve" -l daemon -d 'Go on in the background, logging to mcpd.log beside the database'
complete -c mcpd -n "__fish_mcpd_using_subcommand serve" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand check" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand check" -l json -d 'Print it as JSON'
complete -c mcpd -n "__fish_mcpd_using_subcommand check" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand status" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand status" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand status" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "create" -d 'Make a key, and print it alone on standard output'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "list" -d 'List the keys'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "show" -d 'Tell all about a key'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "update" -d 'Change a key; what is not named stays as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "rotate" -d 'Hand over to a new key with the same settings, and print it alone on standard output'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "revoke" -d 'Refuse a key from now on, for good'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "delete" -d 'Revoke a key and remove its record; its usage stays'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "migration" -d 'Tell who still uses a key that was rotated, and whether it is safe to revoke'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "advice" -d 'Tell what a key needs at least, as its use in the last 30 days shows'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and not __fish_seen_subcommand_from create list show update rotate revoke delete migration advice help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l name -d 'What the key is for' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l scope -d 'What it may do: one or more of these' -r -f -a "chats:create\t''
completions:create\t''
models:read\t''
contexts:read\t''
contexts:write\t''
files:read\t''
files:write\t''
all\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l plan -d 'A named limit of requests a minute; `mcpd status` lists the plans' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l requests-per-minute -d 'A limit of its own, in place of its plan\'s' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l max-concurrent -d 'As many requests at once, at most' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l expires-in -d 'How long it lives from now: 90d, 24h' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l expires-at -d 'When it ends: 2027-01-31T12:00:00Z' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l allow-ip -d 'Only from this address or network; give it again for more' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l allow-model -d 'Only this model, * standing for any characters; give it again for more' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l metadata -d 'A note of yours, kept with it; give it again for more' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l report-only -d 'Only note what this setting would refuse, and let it through' -r -f -a "allowed_ips\t''
scopes\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -s i -l interactive -d 'Ask for what is not said here'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l require-signature -d 'Each request must be signed'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -l json -d 'Print the answer of the admin API as it is, with the key in `key`'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from list" -l status -d 'Only keys that are so' -r -f -a "active\t''
disabled\t''
expired\t''
revoked\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from list" -l search -d 'Only keys with this in their name, hint or metadata' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from list" -l sort -d 'What to list them by: when they were made, where nothing is said' -r -f -a "created\t''
name\t''
last_used\t''
expires\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from list" -l order -d 'Which end comes first: the latest, where nothing is said' -r -f -a "asc\t''
desc\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from list" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from list" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from show" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from show" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l name -d 'Its new name' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l scope -d 'What it may do from now on, in place of what it might: one or more of these' -r -f -a "chats:create\t''
completions:create\t''
models:read\t''
contexts:read\t''
contexts:write\t''
files:read\t''
files:write\t''
all\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l plan -d 'A named limit of requests a minute; `mcpd status` lists the plans' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l requests-per-minute -d 'A limit of its own, in place of its plan\'s' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l max-concurrent -d 'As many requests at once, at most' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l expires-in -d 'How long it lives from now: 90d, 24h' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l expires-at -d 'When it ends: 2027-01-31T12:00:00Z' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l allow-ip -d 'Only from this address or network; give it again for more' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l allow-model -d 'Only this model, * standing for any characters; give it again for more' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l metadata -d 'A note of yours, kept with it; give it again for more' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l report-only -d 'Only note what this setting would refuse, and let it through' -r -f -a "allowed_ips\t''
scopes\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l revoke-when-quiet -d 'Of a rotated key: revoke it once nobody has used it for so long' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l require-signature -d 'Each request must be signed'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l enable -d 'Let it through again'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l disable -d 'Refuse it until it is enabled again'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l plan-limit -d 'Take its own limit away, so that its plan\'s is in force'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l any-concurrent -d 'Let it make any number of requests at once'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l no-expiry -d 'Let it live for ever'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l any-ip -d 'Let it be used from anywhere'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l any-model -d 'Let it use all models'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l no-metadata -d 'Take all its notes away'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l no-require-signature -d 'Take unsigned requests too'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l no-report-only -d 'Refuse again what its settings refuse'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -l no-revoke-when-quiet -d 'Do not revoke it by itself'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from update" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l expire-old-in -d 'How long the old key goes on: 24h where nothing is said, 0s to end it now' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l revoke-when-quiet -d 'Revoke the old key earlier, once nobody has used it for so long' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l expires-in -d 'How long the new key lives; as long as the old one was to where nothing is said' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l expires-at -d 'When the new key ends: 2027-01-31T12:00:00Z' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from revoke" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from revoke" -s y -l yes -d 'Do not ask'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from delete" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from delete" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do not ask'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from migration" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from migration" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from migration" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from advice" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from advice" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from advice" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "create" -d 'Make a key, and print it alone on standard output'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "list" -d 'List the keys'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "show" -d 'Tell all about a key'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "update" -d 'Change a key; what is not named stays as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Hand over to a new key with the same settings, and print it alone on standard output'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Refuse a key from now on, for good'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Revoke a key and remove its record; its usage stays'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "migration" -d 'Tell who still uses a key that was rotated, and whether it is safe to revoke'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "advice" -d 'Tell what a key needs at least, as its use in the last 30 days shows'
complete -c mcpd -n "__fish_mcpd_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -l key -d 'Only this key\'s: an id or a name' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -l from -d 'From when on: a time (RFC 3339), or so long ago (7d, 24h, 15m)' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -l to -d 'Until when; now where nothing is said' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -l step -d 'By the minute, hour or day; else by the hour up to two days, by the day beyond' -r -f -a "minute\t''
hour\t''
day\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -l group-by -d 'Told apart by some of key, endpoint, status and model, comma-separated' -r -f -a "key\t''
endpoint\t''
status\t''
model\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -l tz -d 'The time zone that hours and days begin in, such as +02:00, instead of UTC' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -f -a "verify" -d 'Prove that the figures add up: keys to the whole, minutes to hours, hours to days'
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and not __fish_seen_subcommand_from verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and __fish_seen_subcommand_from verify" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and __fish_seen_subcommand_from verify" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Prove that the figures add up: keys to the whole, minutes to hours, hours to days'
complete -c mcpd -n "__fish_mcpd_using_subcommand usage; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand explain" -l key-id -d 'Explain for this key: an id or a name' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand explain" -l method -d 'The method, such as GET; POST where nothing is said' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand explain" -l path -d 'The path; /v1/chat/completions where nothing is said' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand explain" -l ip -d 'The client\'s address' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand explain" -l model -d 'The model that is asked for' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand explain" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand explain" -l key-stdin -d 'Explain for the key on standard input; on a terminal it is asked for'
complete -c mcpd -n "__fish_mcpd_using_subcommand explain" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand explain" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -l status -d 'Only alerts that are so' -r -f -a "open\t''
acknowledged\t''
resolved\t''"
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -l key -d 'Only this key\'s: an id or a name' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -l limit -d 'The newest so many, 1 to 1000' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -f -a "acknowledge" -d 'Note that somebody has seen an alert'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -f -a "rules" -d 'List the rules that raise alerts, and make, change or delete them'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -f -a "test" -d 'Send a sample alert the way that a rule\'s alerts go'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and not __fish_seen_subcommand_from acknowledge rules test help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from acknowledge" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from acknowledge" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from acknowledge" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from rules" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from rules" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from rules" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from rules" -f -a "add" -d 'Make a rule'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from rules" -f -a "update" -d 'Change a rule; what is not named stays as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from rules" -f -a "delete" -d 'Delete a rule; its alerts stay'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from rules" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from test" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from test" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from test" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from help" -f -a "acknowledge" -d 'Note that somebody has seen an alert'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from help" -f -a "rules" -d 'List the rules that raise alerts, and make, change or delete them'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from help" -f -a "test" -d 'Send a sample alert the way that a rule\'s alerts go'
complete -c mcpd -n "__fish_mcpd_using_subcommand alerts; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and not __fish_seen_subcommand_from verify export help" -l limit -d 'The newest so many, 1 to 1000' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and not __fish_seen_subcommand_from verify export help" -l action -d 'Only changes of this kind, such as key.create' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and not __fish_seen_subcommand_from verify export help" -l target -d 'Only changes to this id' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and not __fish_seen_subcommand_from verify export help" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and not __fish_seen_subcommand_from verify export help" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and not __fish_seen_subcommand_from verify export help" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and not __fish_seen_subcommand_from verify export help" -f -a "verify" -d 'Prove that the log is as it was written: no row changed, moved or missing'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and not __fish_seen_subcommand_from verify export help" -f -a "export" -d 'Write out all of the log, oldest first, a JSON object a line'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and not __fish_seen_subcommand_from verify export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and __fish_seen_subcommand_from verify" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and __fish_seen_subcommand_from export" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and __fish_seen_subcommand_from export" -l json -d 'Tell as JSON what was written to the file; without one, the log is JSON anyway'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Prove that the log is as it was written: no row changed, moved or missing'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write out all of the log, oldest first, a JSON object a line'
complete -c mcpd -n "__fish_mcpd_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and not __fish_seen_subcommand_from delete help" -l limit -d 'The newest so many, 1 to 1000' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and not __fish_seen_subcommand_from delete help" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and not __fish_seen_subcommand_from delete help" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and not __fish_seen_subcommand_from delete help" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and not __fish_seen_subcommand_from delete help" -f -a "delete" -d 'Delete one, for good'
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and not __fish_seen_subcommand_from delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and __fish_seen_subcommand_from delete" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do not ask'
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and __fish_seen_subcommand_from delete" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete one, for good'
complete -c mcpd -n "__fish_mcpd_using_subcommand contexts; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and not __fish_seen_subcommand_from delete help" -l limit -d 'The newest so many, 1 to 1000' -r
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and not __fish_seen_subcommand_from delete help" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and not __fish_seen_subcommand_from delete help" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and not __fish_seen_subcommand_from delete help" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and not __fish_seen_subcommand_from delete help" -f -a "delete" -d 'Delete one, for good'
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and not __fish_seen_subcommand_from delete help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and __fish_seen_subcommand_from delete" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and __fish_seen_subcommand_from delete" -s y -l yes -d 'Do not ask'
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and __fish_seen_subcommand_from delete" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and __fish_seen_subcommand_from delete" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and __fish_seen_subcommand_from help" -f -a "delete" -d 'Delete one, for good'
complete -c mcpd -n "__fish_mcpd_using_subcommand files; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand dashboard" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand dashboard" -l json -d 'Print the answer of the admin API as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand dashboard" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand metrics" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand metrics" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand backup" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand backup" -l force -d 'Overwrite a file that is there already'
complete -c mcpd -n "__fish_mcpd_using_subcommand backup" -l json -d 'Print what was done as JSON'
complete -c mcpd -n "__fish_mcpd_using_subcommand backup" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand restore" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand restore" -s y -l yes -d 'Do not ask'
complete -c mcpd -n "__fish_mcpd_using_subcommand restore" -l json -d 'Print what was done as JSON'
complete -c mcpd -n "__fish_mcpd_using_subcommand restore" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand completions" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand completions" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand man" -l config -d 'The configuration; else `$MCPD_CONFIG`, ./mcpd.toml or /etc/mcpd/mcpd.toml' -r -F
complete -c mcpd -n "__fish_mcpd_using_subcommand man" -s h -l help -d 'Print help'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "serve" -d 'Answer requests until told to stop'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "check" -d 'Read the configuration and say whether it can be used'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "status" -d 'Tell how the running daemon is: upstreams, keys, database'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "keys" -d 'Make, list, change, rotate, revoke and delete keys, and see how they are used'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "usage" -d 'Tell what was used, or prove that it adds up'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "explain" -d 'Tell why a request was refused, or whether one would be'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "alerts" -d 'List what is unusual, and what watches for it'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "audit" -d 'List who changed what, prove that nothing is missing, or write it all out'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "contexts" -d 'List the conversations that clients have stored, and delete them'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "files" -d 'List the files that clients have stored, and delete them'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "dashboard" -d 'Print a link that signs in to the dashboard, once'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "metrics" -d 'Print the metrics, as Prometheus reads them'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "backup" -d 'Copy the running daemon\'s database to a file'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "restore" -d 'Put a backup in the place of the database, while mcpd is stopped'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "completions" -d 'Print what a shell reads to complete commands'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "man" -d 'Print the manual page, as roff'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and not __fish_seen_subcommand_from serve check status keys usage explain alerts audit contexts files dashboard metrics backup restore completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "create" -d 'Make a key, and print it alone on standard output'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "list" -d 'List the keys'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "show" -d 'Tell all about a key'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "update" -d 'Change a key; what is not named stays as it is'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "rotate" -d 'Hand over to a new key with the same settings, and print it alone on standard output'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "revoke" -d 'Refuse a key from now on, for good'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "delete" -d 'Revoke a key and remove its record; its usage stays'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "migration" -d 'Tell who still uses a key that was rotated, and whether it is safe to revoke'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "advice" -d 'Tell what a key needs at least, as its use in the last 30 days shows'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from usage" -f -a "verify" -d 'Prove that the figures add up: keys to the whole, minutes to hours, hours to days'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from alerts" -f -a "acknowledge" -d 'Note that somebody has seen an alert'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from alerts" -f -a "rules" -d 'List the rules that raise alerts, and make, change or delete them'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from alerts" -f -a "test" -d 'Send a sample alert the way that a rule\'s alerts go'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "verify" -d 'Prove that the log is as it was written: no row changed, moved or missing'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from audit" -f -a "export" -d 'Write out all of the log, oldest first, a JSON object a line'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from contexts" -f -a "delete" -d 'Delete one, for good'
complete -c mcpd -n "__fish_mcpd_using_subcommand help; and __fish_seen_subcommand_from files" -f -a "delete" -d 'Delete one, for good'
