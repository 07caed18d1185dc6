"""thunderbird.py - Thunderbird's own reader of config-v1.1.xml, taken out of its package and run in a browser.

Debian's package is unpacked in build/thunderbird (conf/deps.sh); its modules run unchanged but for their import and export
lines, in headless Chromium, since they need a DOM. What they ask of Thunderbird besides (translated texts, preferences,
constants) is made up here.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile

import harness

MODULES = ("modules/hostnameUtils.sys.mjs", "modules/JXON.sys.mjs", "modules/accountcreation/AccountCreationUtils.sys.mjs",
           "modules/accountcreation/InputSanitizer.sys.mjs", "modules/accountcreation/AccountConfig.sys.mjs",
           "modules/accountcreation/readFromXML.sys.mjs")

AROUND = """
const texts = {formatValueSync: id => id, formatValue: id => id};
const ChromeUtils = {
  defineESModuleGetters(to, names) { for (const n in names) Object.defineProperty(to, n, {get: () => exported[n]}); },
  defineLazyGetter(to, name, make) { Object.defineProperty(to, name, {get: make}); },
  importESModule() { return exported; },
  generateQI: () => () => null,
};
const Localization = class { constructor() { Object.assign(this, texts); } };
const Services = {prefs: {getBoolPref: () => false}, io: {newURI: text => { throw new Error("no URI: " + text); }}};
const Ci = {
  nsMsgSocketType: {plain: 0, alwaysSTARTTLS: 2, SSL: 3},
  nsMsgAuthMethod: {none: 1, passwordCleartext: 3, passwordEncrypted: 4, GSSAPI: 5, NTLM: 6, OAuth2: 10},
};
const dump = () => {}, Cu = {isInAutomation: true};
console.createInstance = () => console;
const OAuth2Providers = {getHostnameDetails: () => null};
const exported = {};
"""

FINISH = """
let result;
try {
  const document_ = new DOMParser().parseFromString(text, "text/xml");
  if (document_.getElementsByTagName("parsererror").length) throw new Error("not well-formed");
  const config = exported.readFromXML(exported.JXON.build(document_), "test");
  if (address) exported.AccountConfig.replaceVariables(config, "A Name", address, "");
  const pick = s => ({type: s.type, hostname: s.hostname, port: s.port, socketType: s.socketType, auth: s.auth,
                      username: s.username});
  result = {id: config.id, domains: config.domains, displayName: config.displayName,
            incoming: [config.incoming].concat(config.incomingAlternatives).map(pick),
            outgoing: [config.outgoing].concat(config.outgoingAlternatives).map(pick)};
} catch (error) { result = {error: String(error)}; }
const place = document.createElement("pre");
place.id = "result";
place.textContent = JSON.stringify(result);
document.body.append(place);
"""


def browser():
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        raise harness.Skipped("chromium is not installed")
    return path


def run_browser(*words, timeout=120):
    """Headless and alone: a profile of its own, and nothing that goes to the network."""
    with tempfile.TemporaryDirectory(prefix="gatepost-browser-", dir="/var/tmp") as profile:
        done = subprocess.run([browser(), "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                               "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
                               "--host-resolver-rules=MAP * ~NOTFOUND", "--user-data-dir=" + profile] +
                              (["--no-sandbox"] if os.geteuid() == 0 else []) + list(words), capture_output=True, text=True,
                              timeout=timeout * (2 if harness.SANITIZED else 1))
    if done.returncode:
        raise harness.Failure("chromium: exit code %d\n%s" % (done.returncode, done.stderr[-2000:]))
    return done.stdout


def modules():
    places = glob.glob(os.path.join(harness.TOP, "build", "thunderbird", "**", "omni.ja"), recursive=True)
    places += ["/usr/share/thunderbird/omni.ja", "/usr/lib/thunderbird/omni.ja"]
    for path in places:
        if not os.path.isfile(path):  # in the package one of them is a link to the other's place
            continue
        with zipfile.ZipFile(path) as archive:
            return [archive.read(name).decode() for name in MODULES]
    raise harness.Skipped("no Thunderbird in build/thunderbird (make deps-test)")


def as_script(module):
    """A module's text as the body of a function; what it exports goes into `exported`."""
    names = re.findall(r"^export (?:async )?(?:function\*?|class|const|let|var) (\w+)", module, re.M)
    for group in re.findall(r"^export \{([^}]*)\};?", module, re.M):
        names += [name.strip() for name in group.split(",") if name.strip()]
    module = re.sub(r"^export \{[^}]*\};?", "", module, flags=re.M)
    module = re.sub(r"^export ", "", module, flags=re.M)

    def imported(match):
        names_ = [n.strip() for n in match.group(1).split(",") if n.strip()]
        return "" if names_ == ["OAuth2Providers"] else "const { %s } = exported;" % ", ".join(names_)
    module = re.sub(r"^import \{([^}]*)\} from [^;]*;", imported, module, flags=re.M)
    return "(() => {\n%s\nObject.assign(exported, { %s });\n})();\n" % (module, ", ".join(names))


def read(text, address=None):
    """What Thunderbird makes of the file, its placeholders filled for `address`; {"error": ...} where it refuses it."""
    script = AROUND + "".join(map(as_script, modules())) + "const text = %s, address = %s;\n" % (
        json.dumps(text), json.dumps(address)) + FINISH
    script = script.replace("</script", "<\\/script")
    with tempfile.TemporaryDirectory(prefix="gatepost-page-", dir="/var/tmp") as directory:
        path = os.path.join(directory, "page.html")
        with open(path, "w") as file:
            file.write("<!DOCTYPE html><meta charset=utf-8><body><script>\n%s</script>" % script)
        page = run_browser("--dump-dom", "file://" + path)
    found = re.search(r'<pre id="result">(.*?)</pre>', page, re.S)
    if not found:
        raise harness.Failure("no result from the browser: " + page[-1500:])
    text = found.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(text)
