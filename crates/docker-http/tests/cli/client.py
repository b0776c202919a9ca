import docker

c = docker.from_env()
assert c.ping() and c.version()["ApiVersion"] == "1.50"
assert c.containers.run("busybox", "echo py", remove=True) == b"py\n"
x = c.containers.run("busybox", "sleep 1000", detach=True, name="pyx", ports={"80/tcp": None})
assert x.exec_run("echo in") == (0, b"in\n")
assert x.exec_run(["sh", "-c", "echo o; echo e >&2; exit 3"], demux=True) == (3, (b"o\n", b"e\n"))
x.reload()
assert x.status == "running" and x.ports["80/tcp"][0]["HostPort"]
assert x.stats(stream=False)["memory_stats"]["usage"] > 0
s = x.exec_run("cat", stdin=True, socket=True).output._sock
s.sendall(b"hi\n")
assert s.recv(100) == b"\x01\x00\x00\x00\x00\x00\x00\x03hi\n"
s.close()
bits, stat = x.get_archive("/etc/passwd")
assert stat["name"] == "passwd" and x.put_archive("/tmp", b"".join(bits))
assert x.exec_run("ls /tmp").output == b"passwd\n"
n = c.networks.create("pyn")
n.connect(x)
n.reload()
assert list(n.attrs["Containers"])
n.disconnect(x)
n.remove()
v = c.volumes.create("pyv")
assert [v.name] == [w.name for w in c.volumes.list()]
v.remove()
assert {"Kind": 1, "Path": "/tmp/passwd"} in x.diff()
x.stop(timeout=0)
assert x.wait()["StatusCode"] == 137
x.remove()
try:
    c.images.get("nope")
    raise AssertionError("found what is not there")
except docker.errors.ImageNotFound as e:
    assert "No such image: nope" in e.explanation
try:
    c.services.list()
    raise AssertionError("a swarm out of nowhere")
except docker.errors.APIError as e:
    assert e.response.status_code == 503
assert c.plugins.list() == [] and "Images" in c.df()
