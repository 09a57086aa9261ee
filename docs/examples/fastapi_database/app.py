"""Notes in a database: FastAPI, SQLAlchemy's async engine, aiosqlite."""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = create_async_engine(os.environ["DATABASE_URL"], pool_recycle=3600)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    yield
    await engine.dispose()


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
app = FastAPI(lifespan=lifespan)


@app.post("/notes", status_code=201)
async def add(text: str, session: Session) -> dict[str, int]:
    note = Note(text=text)
    session.add(note)
    await session.commit()
    return {"id": note.id}


@app.get("/notes/{note_id}")
async def read(note_id: int, session: Session) -> dict[str, str]:
    note = await session.scalar(select(Note).where(Note.id == note_id))
    if note is None:
        raise HTTPException(404)
    return {"text": note.text}


@app.get("/health")
async def health() -> dict[str, str]:
    engine = create_async_engine(os.environ["DATABASE_URL"])  # the leak: an engine per request, never disposed of
    async with engine.connect() as connection:
        await connection.execute(select(1))
    return {"status": "ok"}
