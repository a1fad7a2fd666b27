"""What runs beside each process, on its machine: it starts the process in a group of its own, and ends the group.

It is sent as text to machines that have nothing but Python, so it imports the standard library alone.

On standard input comes one line of JSON: the `command`, the `variables`, the `folder`, the `payload` in base64; then
the numbers of signals, a line each. Where the input ends, who asked is gone: the group is asked to end, and killed
after a while. The process writes to the agent's output, and the agent ends with its code.
"""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading

#: Seconds from being asked to end to being killed, where nobody is there to say.
GRACE = 10.0


def main() -> int:
    """Run what the first line of the input says; its exit code, 128 + n for signal n."""
    said = json.loads(sys.stdin.buffer.readline())
    with tempfile.TemporaryDirectory(prefix="cornu-") as own:
        variables = {**os.environ, **said["variables"]}
        if said.get("payload") is not None:
            variables["CORNU_PAYLOAD"] = os.path.join(own, "payload")
            with open(variables["CORNU_PAYLOAD"], "wb") as file:
                file.write(base64.b64decode(said["payload"]))
        command = [word if word != "PYTHON" else sys.executable for word in said["command"]]
        try:
            process = subprocess.Popen(
                command,
                env=variables,
                cwd=said.get("folder") or None,
                stdin=subprocess.DEVNULL,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            print(f"{command[0]} could not be started: {error}", flush=True)
            return 127
        threading.Thread(target=obey, args=(process,), daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, lambda number, _: send(process, number))
        code = process.wait()
        send(process, signal.SIGKILL)  # what it has left behind
    return code if code >= 0 else 128 - code


def obey(process: "subprocess.Popen[bytes]") -> None:
    """Send the signals that come; end the group where the input does."""
    for line in sys.stdin.buffer:
        send(process, int(line))
    send(process, signal.SIGTERM)
    send(process, signal.SIGCONT)
    threading.Event().wait(GRACE)
    send(process, signal.SIGKILL)


def send(process: "subprocess.Popen[bytes]", number: int) -> None:
    """A signal to all of a process's group, of which it is the first."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # a thread still reads the input
