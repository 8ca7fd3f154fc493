"""Apache Kafka, one node that is broker and controller, from its Maven artifacts."""

import base64
import os
import re
import shutil
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.services.daemon import Daemon
from deploy.services.process import ServiceError, await_ready, end_of, launch, say
from deploy.services.software import fetch, installed, need_tools

VERSION = "4.3.1"
JAVA_VERSION_MIN = 17
SOFTWARE = f"kafka-{VERSION}-1"  # A changed way of installing counts the last number up.
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>foldex</groupId> <artifactId>kafka</artifactId> <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId> <artifactId>kafka_2.13</artifactId>
      <version>{VERSION}</version>
    </dependency>
    <dependency> <!-- Writes its log; the version that Kafka's slf4j-api asks for. -->
      <groupId>org.slf4j</groupId> <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
"""
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=BROKER://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=BROKER://127.0.0.1:{port}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# After a crash the controller waits this long before it lets the broker in again.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# Consumers of a test need not wait for others to join.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
"""
STARTED = "Kafka Server started"
LOGGER = "-Dorg.slf4j.simpleLogger."
LOGGING = [
    f"{LOGGER}showDateTime=true",
    f"{LOGGER}dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
    f"{LOGGER}defaultLogLevel=warn",
    f"{LOGGER}log.kafka.server.KafkaRaftServer=info",  # It says STARTED.
]
HEAP = ["-Xms256m", "-Xmx512m"]
CLUSTER_ID = base64.urlsafe_b64encode(b"foldex-dev-kafka").decode().rstrip("=")
START_TIMEOUT_S = 90


@dataclass(frozen=True, slots=True)
class Kafka(Daemon):
    """The Kafka node of a clone. Whoever calls its methods holds the lock of the clone.

    more_properties: lines of its settings, which win over those from here.
    """

    more_properties: str = ""
    name = "kafka"
    stop_timeout_s = 30

    @property
    def data(self) -> Path:
        """The directory of its topics."""
        return self.clone.state / "kafka"

    @property
    def mark(self) -> str:
        """The file of its settings."""
        return str(self._properties)

    def address(self) -> str:
        """Return its bootstrap server."""
        return f"127.0.0.1:{self.clone.port('kafka') or 0}"

    def start(self) -> None:
        """Install, format and start what is missing; return when it serves requests.

        Raises: ServiceError: it is impossible here, or the server did not start.
        """
        libraries = install()
        if self.pid() is not None:
            if _answers(self.clone.port("kafka") or 0):
                return
            self.stop()
        self._write_properties()
        self._format(libraries)
        self._launch(libraries)

    @property
    def _properties(self) -> Path:
        return self.clone.state / "kafka.properties"

    def _write_properties(self) -> None:
        text = PROPERTIES.format(
            port=self.clone.free_port("kafka"),
            controller_port=self.clone.free_port("kafka-controller"),
            data=self.data,
        )
        self._properties.write_text(text + self.more_properties)

    def _format(self, libraries: Path) -> None:
        if (self.data / "meta.properties").exists():
            return
        format_it = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID]
        result = subprocess.run(
            [*_java(libraries), *LOGGING, *format_it, "-c", str(self._properties)],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise ServiceError(f"formatting failed:\n{result.stdout}{result.stderr}")

    def _launch(self, libraries: Path) -> None:
        before = end_of(self.log)
        process = launch(
            [*_java(libraries), *HEAP, *LOGGING, "kafka.Kafka", str(self._properties)],
            log=self.log,
            environment=dict(os.environ),
        )
        self.remember(process)
        port = self.clone.port("kafka") or 0
        await_ready(
            process,
            lambda: STARTED.encode() in self.log.read_bytes()[before:] and _answers(port),
            log=self.log,
            timeout_s=START_TIMEOUT_S,
        )


def install() -> Path:
    """Return the directory of Kafka's libraries, installing them when they are missing."""
    need_tools(_java_command(), why="running Kafka")
    return installed(SOFTWARE, _build) / "lib"


def _build(target: Path) -> None:
    need_tools("mvn", why="installing Kafka")
    _need_new_java()
    say(f"installing Kafka {VERSION}")
    (target / "pom.xml").write_text(POM)
    quiet = ["mvn", "--batch-mode", "--quiet", "--strict-checksums", f"--file={target}/pom.xml"]
    fetch([*quiet, PLUGIN, f"-DoutputDirectory={target}/lib", "-DincludeScope=runtime"])


def _need_new_java() -> None:
    result = subprocess.run(
        [_java_command(), "-version"], capture_output=True, text=True, check=False
    )
    found = re.search(r'version "(\d+)', result.stderr)
    if found is None or int(found[1]) < JAVA_VERSION_MIN:
        raise ServiceError(f"Kafka needs Java {JAVA_VERSION_MIN} or newer:\n{result.stderr}")


def _java_command() -> str:
    home = os.environ.get("JAVA_HOME")
    own = Path(home, "bin", "java") if home else None
    return str(own) if own is not None and shutil.which(own) else "java"


def _java(libraries: Path) -> list[str]:
    return [_java_command(), "-cp", f"{libraries}/*"]


def _answers(port: int) -> bool:
    """Ask for the versions of the protocol, the one request that every client begins with."""
    request = struct.pack(">hhih", 18, 0, 1, -1)  # ApiVersions 0, request 1, no client id.
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(10, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (1, 0)
