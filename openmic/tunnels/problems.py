"""What can go wrong between a local port and a public URL.

``NGROK_CODES`` says which row explains which ``ERR_NGROK_n``; a number that is not there gets the row ``ngrok_other``.
"""

from __future__ import annotations

from openmic.errors import Problem, ProblemTable

PROBLEMS = ProblemTable(
    {
        # --- the authtoken
        "authtoken_missing": Problem(
            "ngrok needs an authtoken and has none.",
            "No authtoken was given as a setting, in NGROK_AUTHTOKEN or in ngrok's own configuration file "
            "(ERR_NGROK_4018).",
            "Copy yours from dashboard.ngrok.com/get-started/your-authtoken; in Colab add it as the secret "
            "NGROK_AUTHTOKEN (key icon on the left) and switch on access for this notebook, elsewhere set the "
            "environment variable of that name; then launch again.",
        ),
        "colab_secret_missing": Problem(
            "ngrok needs an authtoken, and Colab has no secret named NGROK_AUTHTOKEN.",
            "The secret was never added, or has another name.",
            "Copy your authtoken from dashboard.ngrok.com/get-started/your-authtoken, add it in Colab as the secret "
            "NGROK_AUTHTOKEN (key icon on the left), switch on access for this notebook, and launch again.",
        ),
        "colab_secret_refused": Problem(
            "This notebook may not read the Colab secret NGROK_AUTHTOKEN.",
            "The secret is there, but access is switched off for this notebook.",
            "Open the secrets (key icon on the left), switch on notebook access beside NGROK_AUTHTOKEN, and launch "
            "again.",
        ),
        "colab_secret_timeout": Problem(
            "Colab did not hand over the secret NGROK_AUTHTOKEN in time.",
            "The browser tab was closed, asleep, or waiting for your permission; or the notebook is not open in "
            "Colab's own page (VS Code, Colab's command line), where nothing can ask.",
            "Keep the notebook's tab in front, allow access when it asks, and launch again; elsewhere set the "
            "environment variable NGROK_AUTHTOKEN, or give openmic.launch ngrok_authtoken.",
        ),
        "authtoken_malformed": Problem(
            "ngrok says that this is not an authtoken.",
            "Something else was pasted, perhaps an API key, or only a part of the authtoken (ERR_NGROK_105).",
            "Copy the whole authtoken from dashboard.ngrok.com/get-started/your-authtoken and launch again.",
        ),
        "authtoken_revoked": Problem(
            "ngrok no longer accepts this authtoken.",
            "It was reset or revoked, or you left the team that it belongs to (ERR_NGROK_107).",
            "Copy the current one from dashboard.ngrok.com/get-started/your-authtoken, replace the old one, and "
            "launch again.",
        ),
        # --- the account
        "too_many_agents": Problem(
            "Your ngrok account already has as many agents online as its plan allows.",
            "Other runtimes or machines of yours still hold tunnels, often an old notebook (ERR_NGROK_108).",
            "Stop the old ones at dashboard.ngrok.com/agents, or end the old runtime, and launch again.",
        ),
        "url_online_elsewhere": Problem(
            "Your ngrok URL is already online somewhere else.",
            "An account's free URL serves one place at a time; usually an old runtime still holds it (ERR_NGROK_334).",
            "End the old runtime, or stop its agent at dashboard.ngrok.com/agents, wait a minute, and launch again.",
        ),
        "agent_too_old": Problem(
            "The ngrok agent at {program} is too old.",
            "ngrok, or openmic, needs a newer agent (ERR_NGROK_120, ERR_NGROK_121).",
            "Run `ngrok update`, or remove that program (and PYNGROK_NGROK_PATH, if it is set) to have a new one "
            "downloaded; then launch again.",
        ),
        "email_not_verified": Problem(
            "ngrok asks you to verify your e-mail address first.",
            "The account is new, and the link in ngrok's e-mail was not followed yet (ERR_NGROK_123).",
            "Verify it at dashboard.ngrok.com/user/settings and launch again.",
        ),
        "domain_not_yours": Problem(
            "ngrok does not let your account use this URL.",
            "It belongs to another account, is not reserved, or your plan does not include it "
            "(ERR_NGROK_314, 319, 320, 15013).",
            "See which ones are yours at dashboard.ngrok.com/domains and set `ngrok_url` to one of them, or leave it "
            "empty; then launch again.",
        ),
        "too_many_endpoints": Problem(
            "Your ngrok account has as many endpoints open as its plan allows.",
            "Other tunnels of yours are still open (ERR_NGROK_324).",
            "Close them at dashboard.ngrok.com/endpoints and launch again.",
        ),
        "month_used_up": Problem(
            "Your ngrok account has used up what its plan allows in a month.",
            "The free plan ends at 1 GB of outgoing data (ERR_NGROK_725) and 20,000 requests (ERR_NGROK_727).",
            "Wait for the next month, choose another plan at dashboard.ngrok.com/billing, or launch with "
            'tunnel="cloudflare".',
        ),
        "proxy_not_allowed": Problem(
            "ngrok refuses to run through the proxy that is set here.",
            "The variable http_proxy or https_proxy is set, and free accounts may not use one (ERR_NGROK_9009).",
            "Unset http_proxy and https_proxy where the service starts, and launch again.",
        ),
        # --- what visitors meet
        "agent_offline": Problem(
            "Visitors of the public URL see that it is offline.",
            "The ngrok agent behind it has stopped, or the link is an old one (ERR_NGROK_3200).",
            "Launch again and share the new link.",
        ),
        "server_unreachable": Problem(
            "Visitors reach ngrok, but ngrok does not reach the server here.",
            "The server on the local port has stopped (ERR_NGROK_8012).",
            "Launch again.",
        ),
        "not_reachable_from_here": Problem(
            "The public URL does not answer when it is called from here ({detail}).",
            "It can take a moment until a new address is known everywhere, or a firewall keeps this machine from it.",
            "Open the link on a phone; if it does not work there either, launch again.",
        ),
        "ngrok_other": Problem(
            "ngrok could not open the tunnel ({number}).",
            "It says: {detail}",
            'Look the code up at ngrok.com/docs/errors, or launch with tunnel="none" to go on locally.',
        ),
        # --- the agent program
        "agent_not_downloaded": Problem(
            "The ngrok agent could not be downloaded ({detail}).",
            "{host} cannot be reached from here, or broke off {attempts} times; a firewall may be in between.",
            "Try again later, or install ngrok yourself (ngrok.com/download) and set PYNGROK_NGROK_PATH to it.",
        ),
        "agent_not_found": Problem(
            "There is no ngrok agent at {program}.",
            "PYNGROK_NGROK_PATH names this path.",
            "Correct PYNGROK_NGROK_PATH, or unset it to have the agent downloaded; then launch again.",
        ),
        "agent_not_executable": Problem(
            "The ngrok agent at {program} cannot be run ({detail}).",
            "It is not marked as executable, lies on a disk that allows no programs, or was made for another machine.",
            "Make it executable (chmod +x), or remove it and unset PYNGROK_NGROK_PATH to have the right one "
            "downloaded.",
        ),
        "agent_other_program": Problem(
            "The program at {program} is not the ngrok agent.",
            "Asked for its version, it did not answer as ngrok does.",
            "Set PYNGROK_NGROK_PATH to ngrok's agent, or unset it to have one downloaded; then launch again.",
        ),
        "agent_died": Problem(
            "The ngrok agent ended while it was starting.",
            "It says: {detail}",
            'Launch again; if it repeats, run `ngrok diagnose` on this machine, or launch with tunnel="none".',
        ),
        "agent_start_timeout": Problem(
            "The ngrok agent was not ready after {seconds} seconds.",
            "The network is slow, or something between here and ngrok blocks the connection.",
            'Launch again; if it repeats, run `ngrok diagnose` on this machine, or launch with tunnel="none".',
        ),
        "ngrok_unreachable": Problem(
            "The ngrok agent could not reach ngrok's servers.",
            "There is no internet here, or a firewall is in between ({detail}).",
            'Check the connection and launch again, or launch with tunnel="none" to go on locally.',
        ),
        # --- Cloudflare's quick tunnel
        "cloudflared_missing": Problem(
            "Cloudflare's program cloudflared is not installed.",
            "The quick tunnel needs it, and it is neither on the search path nor set as OPENMIC_CLOUDFLARED_PATH "
            "({detail}).",
            "Install it as developers.cloudflare.com/cloudflare-one/networks/connectors/cloudflare-tunnel/downloads "
            "says, then launch again; or use ngrok.",
        ),
        "cloudflared_not_executable": Problem(
            "The program cloudflared at {program} cannot be run ({detail}).",
            "It is not marked as executable, or was made for another machine.",
            "Make it executable (chmod +x), or install the one for this machine, and launch again.",
        ),
        "cloudflare_busy": Problem(
            "Cloudflare offers no quick tunnel at the moment.",
            "Too many were requested from this address in a short time (HTTP 429).",
            "Wait some minutes and launch again, or use ngrok.",
        ),
        "cloudflare_unreachable": Problem(
            "cloudflared could not reach Cloudflare.",
            "There is no internet here, or a firewall blocks it, perhaps port 7844 ({detail}).",
            "Check the connection and launch again, or use ngrok.",
        ),
        "cloudflared_died": Problem(
            "cloudflared ended before the tunnel was open.",
            "It says: {detail}",
            "Launch again; if it repeats, update cloudflared, or use ngrok.",
        ),
        "cloudflare_timeout": Problem(
            "Cloudflare's quick tunnel was not open after {seconds} seconds.",
            "The network is slow, or a firewall blocks the connection (port 7844).",
            "Launch again, or use ngrok.",
        ),
        # --- here
        "folder_not_writable": Problem(
            "The tunnel's folder {folder} cannot be written ({detail}).",
            "The disk is full, or the folder belongs to somebody else.",
            "Make room, or set OPENMIC_CACHE_DIR to a folder of yours, and launch again.",
        ),
        "unsupported_system": Problem(
            "Tunnels cannot be opened on this system.",
            "The programs behind them can be controlled on Linux and macOS only.",
            "Run the service there (Colab, WSL), or start a tunnel yourself and point it at the local port.",
        ),
    }
)

NGROK_CODES = {
    4018: "authtoken_missing",
    105: "authtoken_malformed",
    107: "authtoken_revoked",
    108: "too_many_agents",
    334: "url_online_elsewhere",
    120: "agent_too_old",
    121: "agent_too_old",
    123: "email_not_verified",
    314: "domain_not_yours",
    319: "domain_not_yours",
    320: "domain_not_yours",
    15013: "domain_not_yours",
    324: "too_many_endpoints",
    725: "month_used_up",
    727: "month_used_up",
    9009: "proxy_not_allowed",
    3200: "agent_offline",
    8012: "server_unreachable",
}
