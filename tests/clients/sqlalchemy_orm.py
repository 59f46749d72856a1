# flags: --insecure
"""SQLAlchemy 2: tables made and reflected, the ORM's reads and writes, rollback."""

import datetime
import decimal
import uuid

from sqlalchemy import (BigInteger, DateTime, Identity, MetaData, Numeric, String, Table, Uuid, create_engine, func, inspect, insert,
                        select, text, update)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import IntegrityError, NoSuchTableError, ProgrammingError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine("postgresql+psycopg://")


class Base(DeclarativeBase):
    pass


class Rider(Base):
    __tablename__ = "riders"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(50))
    city: Mapped[str | None]
    joined: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True))
    credit: Mapped[decimal.Decimal] = mapped_column(Numeric(10, 2), server_default=text("0"))


class Ride(Base):
    __tablename__ = "rides"
    __table_args__ = {"schema": "fleet", "comment": "every ride"}
    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    leg: Mapped[int] = mapped_column(primary_key=True)
    rider: Mapped[int]
    notes: Mapped[dict | None] = mapped_column(JSONB)


with engine.begin() as connection:
    connection.execute(text("CREATE SCHEMA fleet"))
Base.metadata.create_all(engine)
Base.metadata.create_all(engine)  # Finds them there.

# Reflection.
inspector = inspect(engine)
assert inspector.get_schema_names() == ["fleet", "information_schema", "public"], inspector.get_schema_names()
assert inspector.get_table_names() == ["riders"] and inspector.get_table_names("fleet") == ["rides"]
assert inspector.get_view_names() == [] and inspector.has_table("riders") and not inspector.has_table("nope")
columns = {column["name"]: column for column in inspector.get_columns("riders")}
assert list(columns) == ["id", "name", "city", "joined", "credit"], list(columns)
assert str(columns["name"]["type"]) == "VARCHAR(50)" and str(columns["credit"]["type"]) == "NUMERIC(10, 2)", columns
assert columns["joined"]["type"].timezone and columns["city"]["nullable"] and not columns["name"]["nullable"], columns
assert columns["credit"]["default"] == "0" and columns["id"]["default"] is None, columns
key = inspector.get_pk_constraint("rides", "fleet")
assert key["constrained_columns"] == ["id", "leg"] and key["name"] == "rides_pkey", key
assert inspector.get_foreign_keys("riders") == [] and inspector.get_unique_constraints("riders") == []
assert inspector.get_indexes("riders") == [] and inspector.get_check_constraints("riders") == []
assert inspector.get_table_comment("rides", "fleet") == {"text": "every ride"}, inspector.get_table_comment("rides", "fleet")
reflected = Table("riders", MetaData(), autoload_with=engine)
assert [column.name for column in reflected.primary_key] == ["id"] and len(reflected.columns) == 5
metadata = MetaData()
metadata.reflect(engine, schema="fleet")
assert list(metadata.tables) == ["fleet.rides"], list(metadata.tables)
try:
    Table("nope", MetaData(), autoload_with=engine)
    raise AssertionError("a table that is not there")
except NoSuchTableError:
    pass

# The ORM.
joined = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=datetime.timezone.utc)
with Session(engine) as session:
    session.add_all([Rider(id=i, name=f"rider {i}", city=["rome", "oslo"][i % 2], joined=joined) for i in range(10)])
    session.commit()
    rider = session.get(Rider, 3)
    assert (rider.name, rider.city, rider.joined, rider.credit) == ("rider 3", "oslo", joined, decimal.Decimal("0.00")), rider.credit
    rider.credit = decimal.Decimal("12.50")
    rider.city = None
    session.commit()
    assert session.scalars(select(Rider.id).where(Rider.city.is_(None))).all() == [3]
    session.execute(update(Rider).where(Rider.id > 7).values(city="paris"))
    session.delete(session.get(Rider, 0))
    session.commit()
    counts = session.execute(select(Rider.city, func.count()).group_by(Rider.city).order_by(func.count().desc(), Rider.city)).all()
    assert [tuple(row) for row in counts] == [("oslo", 3), ("rome", 3), ("paris", 2), (None, 1)], counts
    ride = uuid.UUID(int=7)
    session.add(Ride(id=ride, leg=1, rider=3, notes={"tip": [1, 2.5, None]}))
    session.commit()
    found = session.execute(select(Rider.name, Ride.notes).join(Ride, Ride.rider == Rider.id)).one()
    assert tuple(found) == ("rider 3", {"tip": [1, 2.5, None]}), found
    assert session.scalars(select(Rider).where(Rider.name.ilike("RIDER %")).order_by(Rider.id.desc()).limit(2).offset(1)).all()[0].id == 8
    assert session.scalars(select(Rider.id).where(Rider.id.in_([1, 2, 99])).order_by(Rider.id)).all() == [1, 2]

    # A block within the block: it fails alone.
    session.get(Rider, 5).city = "lima"
    try:
        with session.begin_nested():
            session.add(Rider(id=6, name="again", joined=joined))
            session.flush()
    except IntegrityError:
        pass
    with session.begin_nested():
        session.get(Rider, 7).city = "lima"
    session.commit()
    assert session.scalars(select(Rider.id).where(Rider.city == "lima").order_by(Rider.id)).all() == [5, 7]

    # Rollback, and an error that names the key.
    session.add(Rider(id=100, name="gone", joined=joined))
    session.flush()
    session.rollback()
    assert session.get(Rider, 100) is None
    session.add(Rider(id=1, name="again", joined=joined))
    try:
        session.commit()
        raise AssertionError("a second rider 1")
    except IntegrityError as error:
        assert error.orig.sqlstate == "23505", error
        session.rollback()

# Keys that the server makes.
class Numbered(DeclarativeBase):
    pass


class Stop(Numbered):
    __tablename__ = "stops"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Leg(Numbered):
    __tablename__ = "legs"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    stop: Mapped[int] = mapped_column(BigInteger)


Numbered.metadata.create_all(engine)
with Session(engine) as session:
    stops = [Stop(name=f"stop {i}") for i in range(20)]
    session.add_all(stops)
    session.commit()
    session.add_all([Leg(stop=stop.id) for stop in stops])
    session.commit()
    assert len({stop.id for stop in stops}) == 20, "each has a key of its own"
    names = session.scalars(select(Stop.name).join(Leg, Leg.stop == Stop.id).order_by(Stop.id)).all()
    assert names == [f"stop {i}" for i in range(20)], names
Numbered.metadata.drop_all(engine)

# Core: many rows at once, RETURNING, a raw error.
with engine.begin() as connection:
    made = connection.execute(insert(Rider).returning(Rider.id), [{"id": i, "name": f"n{i}", "joined": joined} for i in range(200, 500)])
    assert len(made.all()) == 300
    assert connection.execute(select(func.count()).select_from(Rider)).scalar_one() == 309
    assert connection.dialect.server_version_info == (15, 0), connection.dialect.server_version_info
try:
    with engine.connect() as connection:
        connection.execute(text("SELECT * FROM nope"))
    raise AssertionError("a table that is not there")
except ProgrammingError as error:
    assert error.orig.sqlstate == "42P01", error

Base.metadata.drop_all(engine)
assert inspect(engine).get_table_names() == []
